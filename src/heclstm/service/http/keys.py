"""/v1/keys: evaluation keys, by the label of their secret key."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Annotated

from litestar import Response, Router, delete, get, put
from litestar.params import Parameter

from heclstm.service import clock
from heclstm.service.app_state import App
from heclstm.service.audit import tell_of_job, tell_of_keys
from heclstm.service.database.jobs import JobRow, blobs_of
from heclstm.service.database.key_sets import READY, KeySetRow
from heclstm.service.http.incoming import receive_of
from heclstm.service.http.models import KeyList, KeyStatus
from heclstm.service.http.openapi import FROM_ZERO, GUARDED, described
from heclstm.service.http.requests import Asked, app_of, identity_of, note_secret_key, require_identity
from heclstm.service.limits import body
from heclstm.service.problems import Problem, not_found

KeyPath = Annotated[
    str, Parameter(pattern="^[0-9a-f]{32}$", min_length=32, max_length=32, description="Label of the secret key")
]
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")
_RECEIVE = (
    "unknown-program",
    "retired-program",
    "foreign-file",
    "damaged",
    "wrong-sizes",
    "wrong-key",
    "secret-key",
    "wrong-offset",
    "upload-in-progress",
    "quota-keys",
    "too-large",
    "not-found",
    "draining",
    "storage-full",
)


@get("/", **described(*GUARDED, scope="keys"))
async def list_keys(request: Asked) -> KeyList:
    """All evaluation keys of this tenant, and uploads of them that have begun."""
    app = app_of(request)
    rows = await asyncio.to_thread(app.key_sets.of, identity_of(request).tenant)
    return KeyList([await _status(app, row) for row in rows])


@get("/{key:str}", **described(*GUARDED, "not-found", scope="keys", headers=("upload-offset",)))
async def get_keys(request: Asked, key: KeyPath) -> Response[KeyStatus]:
    """What is known of these keys; of an upload that was cut, where it goes on."""
    app = app_of(request)
    row = await asyncio.to_thread(app.key_sets.get, identity_of(request).tenant, key)
    if row is None:
        raise not_found()
    return _answer(await _status(app, row), 200)


@put(
    "/{key:str}",
    status_code=201,
    response_description="All of them have arrived, and are ready",
    **described(
        *GUARDED,
        *_RECEIVE,
        scope="keys",
        begins=True,
        headers=("upload-offset",),
        also={202: "More must come, or the keys are being expanded and the status tells when they are ready"},
        body="evaluation.keys as `heclstm keygen` wrote it, or the rest of it",
    ),
)
async def put_keys(
    request: Asked,
    key: KeyPath,
    upload_offset: Annotated[
        int | None,
        Parameter(
            header="upload-offset",
            ge=0,
            le=1 << 50,
            schema_extra=FROM_ZERO,
            description="At which byte of the file the body begins; 0",
        ),
    ] = None,
    content_range: Annotated[
        str | None,
        Parameter(header="content-range", max_length=64, description="The same as `bytes FIRST-LAST/TOTAL`"),
    ] = None,
    prefer: Annotated[
        str | None,
        Parameter(header="prefer", max_length=200, description="`respond-async`: do not wait until they are expanded"),
    ] = None,
) -> Response[KeyStatus]:
    """Upload evaluation.keys, or the rest of it.

    Every key is checked and expanded as it arrives. If the connection is cut, ask for the status and send on from
    `received_bytes`. Answers 201 when the keys are ready; 202 when more must come, or with `prefer: respond-async` when
    all came: then the status tells when they are ready, or is gone if they were no good.
    """
    app, identity = app_of(request), identity_of(request)
    offset = _offset(upload_offset, content_range)
    counted = app.metrics.received.labels("keys").inc
    pieces = body(receive_of(request.scope, request.receive), app.config.limits, counted)
    try:
        row, size, ready = await app.uploads.receive(
            identity.tenant, key, offset, pieces, by=identity.by, wait="respond-async" not in (prefer or "")
        )
    except Problem as problem:
        if problem.code == "secret-key":
            await asyncio.to_thread(note_secret_key, app, identity, key=key)
        raise
    status = await _status(app, row)
    return _answer(status, 201 if ready else 202)


@delete("/{key:str}", **described(*GUARDED, "not-found", "storage-full", scope="keys"))
async def delete_keys(request: Asked, key: KeyPath) -> None:
    """Erase these keys, and the jobs that wait for them. Results that are there already stay."""
    app, identity = app_of(request), identity_of(request)
    await erase_jobs(app, identity.tenant, key, identity.by)  # first: if they cannot be, it can be asked for again
    tell = partial(tell_of_keys, app.audit, "keys deleted", identity.by)
    row = await asyncio.to_thread(app.key_sets.remove, identity.tenant, key, tell=tell)
    if row is None:
        raise not_found()
    await erase_keys(app, row, identity.by)


async def erase_jobs(app: App, tenant: str, label: str, by: str) -> None:
    """The jobs that wait for a key set, with their files. by: whom the audit names."""
    told: list[JobRow] = []
    gone: list[JobRow] = []

    def tell(job: JobRow) -> None:
        told.append(job)
        tell_of_job(app.audit, "job deleted", by, job)

    try:
        gone = await asyncio.to_thread(app.jobs.remove_of_keys, tenant, label, tell)
    except BaseException:
        gone = told[:-1]  # the last one may stand
        raise
    finally:
        for job in gone:
            app.dispatcher.cancel(job.id)
            for name in blobs_of(job.id, job.queries):
                await asyncio.to_thread(app.blobs.delete, name)
            app.hub.changed(job.id)


async def erase_keys(app: App, row: KeySetRow, by: str) -> None:
    """The files of a key set whose row is gone, and the jobs that came for it meanwhile. by: whom the audit names."""
    try:
        await erase_jobs(app, row.tenant, row.label, by)
    finally:
        app.dispatcher.close_keys(row.upload)
        await app.uploads.drop(row)
        await asyncio.to_thread(app.blobs.delete, f"keys/{row.upload}")


def _offset(upload_offset: int | None, content_range: str | None) -> int:
    if content_range is None:
        return upload_offset or 0
    found = _RANGE.fullmatch(content_range)
    if not found:
        raise Problem("bad-request", "content-range: expected `bytes FIRST-LAST/TOTAL`")
    if upload_offset not in (None, int(found[1])):
        raise Problem("bad-request", "content-range: does not begin at upload-offset; send one of them")
    return int(found[1])


async def _status(app: App, row: KeySetRow) -> KeyStatus:
    size, keeping, now = await app.uploads.size(row), app.config.retention, clock.now()
    kept = 86400 * (keeping.keys_days if row.state == READY else keeping.uploads_days)
    return KeyStatus(
        key=row.label,
        program=row.program,
        state="ready" if row.state == READY else "expanding" if size == row.upload_bytes else "receiving",
        received_bytes=size,
        upload_bytes=row.upload_bytes,
        stored_bytes=row.stored_bytes,
        created=clock.iso(row.created) or "",
        age_seconds=max(0.0, round(now - row.created, 1)),
        last_used=clock.iso(row.last_used) or "",
        expires=clock.iso(row.last_used + kept) or "",
    )


def _answer(status: KeyStatus, code: int) -> Response[KeyStatus]:
    headers = {"upload-offset": str(status.received_bytes)}
    return Response(status, status_code=code, headers=headers)


router = Router(
    "/v1/keys", route_handlers=[list_keys, get_keys, put_keys, delete_keys], guards=[require_identity], tags=["keys"]
)
