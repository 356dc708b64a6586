"""What was diagnosed before: search, compare, export."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from heclstm.errors import InputError
from heclstm.page import exports
from heclstm.page.records import Record
from heclstm.page.routes import Fields, desk_of, page
from heclstm.report.page import pictures
from heclstm.report.places import frames_of
from heclstm.report.words import chance, remarks
from heclstm.templates.language import gettext, marked

SHOWN = 200


def history(request: Request) -> Response:
    return _list(request, "")


def search(request: Request, fields: Fields) -> Response:
    """By post, so that no name stands in an address."""
    return _list(request, fields.get("words", "")[:200])


def export(request: Request) -> Response:
    return exports.sheet([each for each in desk_of(request).records.all() if each.state == "done"])


def compare(request: Request) -> Response:
    """Two results, the earlier one first."""
    records = desk_of(request).records
    found = [record for id in request.query_params.getlist("of") if (record := records.get(id)) is not None]
    if len(found) != 2 or any(each.state != "done" for each in found):
        raise InputError(marked("Choose two results to compare."))
    found.sort(key=lambda record: (record.day, record.made))
    sides = [_side(request, record) for record in found]
    warnings = []
    if found[0].who != found[1].who or not found[0].who:
        warnings.append(gettext("These are not known to be of one patient."))
    if sides[0]["program"] != sides[1]["program"]:
        warnings.append(gettext("Different programs computed them, so their scores cannot be compared."))
    return page(request, "compare.html", title=gettext("Two results"), sides=sides, warnings=warnings)


def _list(request: Request, words: str) -> Response:
    found = [each for each in desk_of(request).records.all() if each.is_about(words)]
    return page(
        request, "history.html", title=gettext("History"), records_found=found[:SHOWN], words=words, count=len(found),
        more=len(found) > SHOWN,
    )  # fmt: skip


def _side(request: Request, record: Record) -> dict[str, Any]:
    records = desk_of(request).records
    findings, images = records.findings(record.id), records.images(record.id)
    if findings.case is not None:
        findings.case.require_images(images)
    tiles = pictures(images, findings.purpose)
    preparation = findings.purpose.preparation
    return {
        "record": record,
        "program": findings.program,
        "decision": gettext(findings.diagnosis.decision),
        "side": {True: "raises", False: "lowers", None: "undecided"}[findings.diagnosis.positive],
        "score": findings.diagnosis.score,
        "point": findings.diagnosis.threshold,
        "chance": chance(findings),
        "remarks": remarks(findings),
        "frames": frames_of(findings, tiles, 1 if preparation is None else preparation.slices_per_frame),
    }
