"""From files that are dropped to a decision: receive, look, choose, start, watch, read, export, erase."""

from __future__ import annotations

import re
from concurrent.futures import wait
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heclstm.data.budget import FILE_BYTES_MAX, FILES_MAX, FOLDERS_DEEP_MAX
from heclstm.deploy.case import images_digest
from heclstm.errors import InputError
from heclstm.page import exports
from heclstm.page.desk import EXPORT_SECONDS, Desk
from heclstm.page.records import Record
from heclstm.page.routes import Fields, desk_of, page, record_of, to
from heclstm.report.page import pictures
from heclstm.report.page import shown as shown_parts
from heclstm.report.words import decision_of, errors_of, unusual
from heclstm.storage.atomic import new_file
from heclstm.templates.language import gettext, marked
from heclstm.templates.retold import retold
from heclstm.usecases.report import report

NAME_MAX = 200
RECENT = 8


def home(request: Request) -> Response:
    desk = desk_of(request)
    if not desk.ready:
        return to("/setup")
    records = [each for each in desk.records.all() if each.state != "received" or each.id in desk.running]
    card = desk.remote.hospital.site.card()
    return page(
        request, "home.html", title=gettext("Diagnose"), recent=records[:RECENT], model=card.model.called,
        server=desk.remote.hospital.site.state.url,
    )  # fmt: skip


def begin(request: Request) -> Response:
    return JSONResponse({"id": desk_of(request).records.new().id}, 201)


async def receive(request: Request) -> Response:
    """One file of a study, by its name below the folder that was dropped."""
    record = await run_in_threadpool(record_of, request)
    records = desk_of(request).records
    folder = records.files(record.id)
    try:
        parts = _safe(unquote(request.headers.get("x-name", "")))
        if record.state != "received" or not folder.is_dir():
            raise InputError(marked("study: takes no files any more; begin another one"))
        if desk_of(request).count(record.id) > FILES_MAX:
            raise InputError(
                marked("study: got more than {count} files; hand in those of one patient").format(count=FILES_MAX)
            )
        size = 0
        path = folder.joinpath(*parts)
        if path.exists():
            raise InputError(
                marked("{file}: came twice; drop the folders in which these files lie").format(file=parts[-1])
            )
        with new_file(path, 0o600) as stream:
            async for piece in request.stream():
                size += len(piece)
                if size > FILE_BYTES_MAX:
                    raise InputError(
                        marked("{file}: is longer than the {count} bytes that a file can have").format(
                            file=parts[-1], count=FILE_BYTES_MAX
                        )
                    )
                stream.write(piece)
    except InputError as error:
        return JSONResponse({"problem": retold(str(error))}, 422)
    desk_of(request).studies.pop(record.id, None)
    return JSONResponse({"bytes": size}, 201)


def study(request: Request) -> Response:
    """What there is of it now."""
    desk, record = desk_of(request), record_of(request)
    if (running := desk.running.get(record.id)) is not None:
        return page(
            request,
            "progress.html",
            title=gettext("Under way"),
            record=record,
            progress=running.to_json(),
            address=f"/studies/{record.id}/progress",
        )
    if record.state == "done":
        return _result(request, record)
    if not desk.ready:
        return to("/setup")
    if record.state == "running" or record.query is not None:
        text = gettext("This study was sent before the workstation was ended. Its result is read when you go on.")
        return page(request, "left.html", title=gettext("Under way"), record=record, text=text)
    return _look(request, record)


def choose(request: Request, fields: Fields) -> Response:
    desk, record = desk_of(request), record_of(request)
    _require_unsent(desk, record)
    facts: dict[str, Any] = {"series": _whole(fields.get("series", "0")), "burnt_in": "burnt_in" in fields}
    facts |= {"as_given": "as_given" in fields, "row": None, "study": "", "taken": ""}  # these are of the series
    if fields.get("row"):
        facts["row"] = _whole(fields["row"]) - 1
    desk.records.change(record.id, **facts)
    desk.studies.pop(record.id, None)
    return to(f"/studies/{record.id}")


def start(request: Request, fields: Fields) -> Response:
    desk, record = desk_of(request), record_of(request)
    _require_unsent(desk, record)
    found = desk.study(record)
    if found.images is None or fields.get("seen", "") != images_digest(found.images.sequence):
        raise InputError(marked("study: other images are chosen by now than those that you looked at; look again"))
    facts: dict[str, Any] = {name: fields.get(name, "") for name in ("patient", "number", "study", "taken", "override")}
    record = desk.records.change(record.id, kept="keep" in fields, **facts)
    if desk.locked:
        return to(f"/unlock?study={record.id}")
    desk.start(record, found)
    return to(f"/studies/{record.id}")


def go_on(request: Request, fields: Fields) -> Response:
    desk, record = desk_of(request), record_of(request)
    if desk.locked:
        return to(f"/unlock?study={record.id}")
    desk.go_on(record)
    return to(f"/studies/{record.id}")


def progress(request: Request) -> Response:
    record = record_of(request)
    if (running := desk_of(request).running.get(record.id)) is not None:
        return JSONResponse(running.to_json())
    return JSONResponse({"state": record.state})


def cancel(request: Request, fields: Fields) -> Response:
    record = record_of(request)
    desk_of(request).cancel(record)
    return to(f"/studies/{record.id}")


def keep(request: Request, fields: Fields) -> Response:
    record = record_of(request)
    desk_of(request).records.change(record.id, kept=True)
    return to(f"/studies/{record.id}")


def erase(request: Request, fields: Fields) -> Response:
    desk_of(request).erase(record_of(request))
    return to("/history" if fields.get("back") == "history" else "/")


def export(request: Request) -> Response:
    desk, record = desk_of(request), record_of(request)
    if record.state != "done":
        raise InputError(marked("study: has no diagnosis yet"))
    findings = desk.records.findings(record.id)
    match request.path_params["kind"]:
        case "csv":
            return exports.sheet([record])
        case "json":
            return exports.file(desk.records.diagnosis_path(record.id).read_bytes(), "application/json", record, "json")
        case "html":
            made = report(findings, desk.records.images(record.id))
            return exports.file(made.page.encode(), "text/html; charset=utf-8", record, "html")
        case "png" | "pdf" as kind:
            made = report(findings, desk.records.images(record.id))
            return exports.file(made.drawn(kind), "image/png" if kind == "png" else "application/pdf", record, kind)
        case "sr" | "dcm" as kind:
            if (soon := desk.exporting.get(record.id)) is not None:
                wait([soon], EXPORT_SECONDS)
            if path := desk.records.export_path(record.id, exports.DICOM[kind]):
                return exports.file(path.read_bytes(), "application/dicom", record, "dcm")
    raise InputError(marked("export: there is no such file of this study"))


def _look(request: Request, record: Record) -> Response:
    """Before anything is sent."""
    desk = desk_of(request)
    found = desk.study(record)
    frames: list[dict[str, Any]] = []
    if (images := found.images) is not None:
        real = images.sequence.real_frames or len(images.sequence)
        shown_frames = pictures(images.sequence, desk.remote.hospital.site.card())[:real]
        frames = [{"picture": picture} for picture in shown_frames]
    person = found.person
    called = ", ".join(filter(None, (person.name, person.id))) if person else ""
    values = {
        "patient": record.patient or called[:NAME_MAX],
        "number": record.number or (person.id if person else ""),
        "study": record.study or (person.study if person else ""),
        "taken": record.taken or (person.taken if person else ""),
    }
    return page(
        request, "look.html", title=gettext("Look before you send"), record=record, found=found, frames=frames,
        values=values, lines=images.told() if images else [], count=len(frames), model=desk.remote.hospital.site.card(),
        row="" if record.row is None else record.row + 1,
        seen=images_digest(images.sequence) if images else "",
        locked=desk.locked, may_start=images is not None and not found.undecidable,
    )  # fmt: skip


def _result(request: Request, record: Record) -> Response:
    desk = desk_of(request)
    findings, images = desk.records.findings(record.id), desk.records.images(record.id)
    if findings.case is not None:
        findings.case.require_images(images)  # a decision is never shown over other images
    others = [each for each in desk.records.all() if each.who and each.who == record.who and each.state == "done"]
    wrong = () if unusual(findings) else errors_of(findings.operating_point)
    others = [each for each in others if each.id != record.id]
    title = record.patient or gettext("Result")
    kinds = exports.kinds(desk.records, record, soon=record.id in desk.exporting and desk.is_dicom(record))
    parts = shown_parts(findings, images) | {"lead": decision_of(findings)}
    return page(
        request,
        "result.html",
        title=title,
        record=record,
        kinds=kinds,
        others=others,
        wrong=wrong,
        **parts,
    )


def _require_unsent(desk: Desk, record: Record) -> None:
    """Raises InputError."""
    if record.id in desk.running or record.state not in ("received", "failed") or record.query is not None:
        raise InputError(marked("study: was sent already; nothing of it is changed"))


def _safe(name: str) -> tuple[str, ...]:
    """The parts of a path that stays below its folder. Raises InputError."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    wrong = re.compile("[\x00-\x1f\x7f/:\ufffd]|^\\.{1,2}$")
    if (
        not parts
        or len(parts) > FOLDERS_DEEP_MAX
        or any(wrong.search(part) or len(part.encode()) > NAME_MAX for part in parts)
    ):
        raise InputError(marked("file: its name is none that can be taken; rename it"))
    return parts


def _whole(text: str) -> int:
    """Raises InputError."""
    if not text.isdecimal() or not text.isascii() or len(text) > 9:
        raise InputError(marked("{what}: is no whole number").format(what=text[:40]))
    return int(text)
