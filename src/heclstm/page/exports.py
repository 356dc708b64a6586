"""Results as files. Their names tell no patient, only the day and the label of the study."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from heclstm.page.records import Record
from heclstm.templates.language import gettext
from heclstm.usecases.spreadsheet import csv_of

COLUMNS = ("day", "patient", "number", "study", "decision", "score", "probability", "made", "id")


def kinds() -> list[tuple[str, str]]:
    """What a result can be saved as: the end of its address, and words for it."""
    return [
        ("html", gettext("Report")),
        ("png", gettext("Picture")),
        ("csv", gettext("CSV")),
        ("json", gettext("Diagnosis file")),
    ]


def file(content: bytes, kind: str, record: Record, ending: str) -> Response:
    name = f"heclstm-{record.day}-{record.id[:8]}.{ending}"
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def sheet(records: Sequence[Record]) -> Response:
    rows = [{name: getattr(record, name) for name in COLUMNS} for record in records]
    headers = {"content-disposition": 'attachment; filename="heclstm.csv"'}
    return Response(csv_of(rows, COLUMNS), media_type="text/csv; charset=utf-8", headers=headers)
