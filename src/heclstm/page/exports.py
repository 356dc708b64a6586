"""Results as files. Their names tell no patient, only the day and the label of the study."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from heclstm.data.handed_in import HandedIn
from heclstm.errors import HeclstmError
from heclstm.page.records import Record, Records
from heclstm.report.findings import Findings
from heclstm.templates.language import gettext
from heclstm.usecases.spreadsheet import csv_of

COLUMNS = ("day", "patient", "number", "study", "decision", "score", "probability", "remark", "made", "id")


DICOM = {"sr": "report.dcm", "dcm": "summary.dcm"}  # the end of an address → the file, where there is one


def exported(findings: Findings, images: HandedIn) -> dict[str, bytes]:
    """What a PACS would keep; nothing where the library for it is not installed, or the files do not tell enough."""
    try:
        from heclstm.usecases.export import export

        return export(findings, images).files
    except (ModuleNotFoundError, HeclstmError):
        return {}


def kinds(records: Records, record: Record, *, soon: bool) -> list[tuple[str, str]]:
    """What a result can be saved as: the end of its address, and words for it. soon: those of DICOM are being made."""
    dicom = [("sr", gettext("DICOM structured report")), ("dcm", gettext("DICOM picture"))]
    there = [(kind, words) for kind, words in dicom if soon or records.export_path(record.id, DICOM[kind])]
    return there + [
        ("html", gettext("Report")),
        ("pdf", gettext("PDF")),
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
