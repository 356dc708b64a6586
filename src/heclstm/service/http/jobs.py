"""/v1/jobs: queries that are evaluated, and their results."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import cache, partial
from typing import Annotated

from litestar import Response, Router, delete, get, post
from litestar.params import Parameter
from litestar.response import Stream

from heclstm.errors import FileFormatError
from heclstm.service import clock
from heclstm.service.app_state import App
from heclstm.service.audit import tell_of_job
from heclstm.service.database.connection import Unavailable
from heclstm.service.database.jobs import DONE, FAILED, JobRow, NewJob, blobs_of
from heclstm.service.http.events import events_of
from heclstm.service.http.incoming import receive_of
from heclstm.service.http.models import JobList, JobStatus
from heclstm.service.http.openapi import BYTES, FROM_ZERO, GUARDED, described
from heclstm.service.http.requests import Asked, app_of, identity_of, note_secret_key, require_identity
from heclstm.service.jobs import job_status
from heclstm.service.limits import body
from heclstm.service.problems import Problem, not_found

JobPath = Annotated[str, Parameter(pattern="^[0-9a-f]{32}$", min_length=32, max_length=32, description="Id of the job")]
_POST = (
    "unknown-program",
    "retired-program",
    "foreign-file",
    "damaged",
    "wrong-sizes",
    "wrong-key",
    "secret-key",
    "unknown-keys",
    "idempotency-mismatch",
    "quota-queued",
    "quota-daily",
    "too-large",
    "draining",
    "storage-full",
)
PAGE = 100


@get("/", **described(*GUARDED, scope="jobs"))
async def list_jobs(
    request: Asked,
    after: Annotated[str | None, Parameter(pattern="^[0-9a-f]{32}$", description="`next` of the page before")] = None,
) -> JobList:
    """The jobs of this tenant, newest first, a hundred a page."""
    app = app_of(request)
    rows = await asyncio.to_thread(app.jobs.of, identity_of(request).tenant, PAGE, after)
    jobs = [await asyncio.to_thread(job_status, app, row) for row in rows]
    return JobList(jobs, jobs[-1].id if len(jobs) == PAGE else None)


@post(
    "/",
    status_code=202,
    response_description="A new job, which is on disk and will be done",
    **described(
        *GUARDED,
        *_POST,
        scope="jobs",
        begins=True,
        headers=("location",),
        also={200: "The same job had been accepted before"},
        body="One query as `heclstm encrypt` wrote it, or several, one after another",
    ),
)
async def post_job(
    request: Asked,
    idempotency_key: Annotated[
        str | None,
        Parameter(
            header="idempotency-key",
            pattern="^[!-~]{1,128}$",
            description="A text of your own: the same one again is the same job. Without it, the same body is.",
        ),
    ] = None,
) -> Response[JobStatus]:
    """Evaluate a query, or a batch of them. When this is answered, the job is on disk and will be done.

    202 for a new job; 200 if it had been accepted before.
    """
    app, identity = app_of(request), identity_of(request)
    pieces = body(
        receive_of(request.scope, request.receive), app.config.limits, app.metrics.received.labels("jobs").inc
    )
    idempotency = None if idempotency_key is None else f"key {idempotency_key}"
    try:
        job = await app.queries.receive(identity.tenant, idempotency, pieces)
    except Problem as problem:
        if problem.code == "secret-key":
            await asyncio.to_thread(note_secret_key, app, identity)
        raise
    id, new = await _accepted(app, job, identity.by)
    if new:
        app.dispatcher.wake()
    row = await _row(app, identity.tenant, id)
    status = await asyncio.to_thread(job_status, app, row)
    return Response(status, status_code=202 if new else 200, headers={"location": f"/v1/jobs/{id}"})


@get("/{job:str}", **described(*GUARDED, "not-found", scope="jobs"))
async def get_job(
    request: Asked,
    job: JobPath,
    wait: Annotated[
        float,
        Parameter(
            ge=0,
            le=600,
            schema_extra=FROM_ZERO,
            description="Seconds to wait for a change, if the job has not ended",
        ),
    ] = 0,
) -> JobStatus:
    """How a job is getting on. With `wait`, the answer comes when something has changed, or the time is over."""
    app, tenant = app_of(request), identity_of(request).tenant
    status = await asyncio.to_thread(job_status, app, await _row(app, tenant, job))
    before, end = (status.state, status.done), clock.steady() + min(wait, app.config.limits.wait_seconds)
    while _waits(status) and (status.state, status.done) == before and not app.hub.closed:
        left = end - clock.steady()
        if left <= 0:
            break
        await app.hub.wait(job, left)
        status = await asyncio.to_thread(job_status, app, await _row(app, tenant, job))
    return status


@get(
    "/{job:str}/events",
    media_type="text/event-stream",
    response_description="Events, each with the status of the job as JSON",
    **described(*GUARDED, "not-found", scope="jobs", headers=("cache-control", "x-accel-buffering")),
)
async def get_events(request: Asked, job: JobPath) -> Stream:
    """Server-sent events: `job` with its status whenever that changes, until the job has ended."""
    app, tenant = app_of(request), identity_of(request).tenant
    await _row(app, tenant, job)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(events_of(app, tenant, job), media_type="text/event-stream", headers=headers)


@get(
    "/{job:str}/result",
    media_type=BYTES,
    response_description="The results as `heclstm decrypt` reads them, one after another",
    **described(
        *GUARDED, "not-found", "job-not-done", "job-failed", "storage-full", scope="jobs", headers=("cache-control",)
    ),
)
async def get_result(
    request: Asked,
    job: JobPath,
    number: Annotated[
        int | None, Parameter(ge=0, le=1 << 20, schema_extra=FROM_ZERO, description="Of one query; else all, in order")
    ] = None,
) -> Stream:
    """The encrypted results, one after another in the order of the queries. Only the hospital can read them."""
    app, identity = app_of(request), identity_of(request)
    row = await _row(app, identity.tenant, job)
    wanted = [each for each in row.evaluations if number is None or each.number == number]
    if not wanted:
        raise not_found()
    for each in wanted:
        if each.state == FAILED:
            raise Problem("job-failed", f"query {each.number}: failed ({each.problem}); docs/errors.md tells why")
        if each.state != DONE:
            raise Problem("job-not-done", f"query {each.number}: is {each.state}; wait for it", retry_after_seconds=1)
    names = [each.result_blob for each in wanted]
    first = await asyncio.to_thread(_told, app, row, number, names, identity.by)
    headers = {"cache-control": "no-store"}
    return Stream(_contents(app, first, names[1:]), media_type=BYTES, headers=headers)


@delete("/{job:str}", **described(*GUARDED, "not-found", "storage-full", scope="jobs"))
async def delete_job(request: Asked, job: JobPath) -> None:
    """Cancel a job, or erase one that has ended, with its queries and results."""
    app, identity = app_of(request), identity_of(request)
    tell = partial(tell_of_job, app.audit, "job deleted", identity.by)
    row = await asyncio.to_thread(app.jobs.remove, identity.tenant, job, tell)
    if row is None:
        raise not_found()
    app.dispatcher.cancel(job)
    for name in blobs_of(job, row.queries):
        await asyncio.to_thread(app.blobs.delete, name)
    app.hub.changed(job)


async def _accepted(app: App, job: NewJob, by: str) -> tuple[str, bool]:
    """Note the job, in the audit first. What was stored for it goes if it is not a new one.

    It stays if nobody knows whether it is one: what no row names is collected later.
    """
    new = unsure = False

    @cache  # also if the database is asked again
    def tell() -> None:
        app.audit.write(
            "job accepted", job.tenant, job=job.id, program=job.program, key=job.label, queries=job.queries,
            bytes=job.bytes, body=job.body, by=by,
        )  # fmt: skip

    try:
        quotas = app.config.quotas_of(job.tenant)
        id, new = await asyncio.to_thread(lambda: app.database.retried(lambda: app.jobs.accept(job, quotas, tell)))
        # After a lost answer of the database, the same job is found again: under its own id.
        new = new or id == job.id
    except asyncio.CancelledError:
        unsure = True  # the thread goes on, and may commit
        raise
    except Unavailable:
        unsure = not app.database.sqlite and tell.cache_info().currsize > 0  # the answer to a commit may be lost
        raise
    finally:
        if new or unsure:
            app.queries.settle(job)
        else:
            await app.queries.forget(job.id, job.queries)
    return id, new


async def _row(app: App, tenant: str, job: str) -> JobRow:
    row = await asyncio.to_thread(app.jobs.get, tenant, job)
    if row is None:
        raise not_found()
    return row


def _waits(status: JobStatus) -> bool:
    return status.state not in (DONE, FAILED)


def _told(app: App, row: JobRow, number: int | None, names: list[str], by: str) -> bytes:
    """The first result, once it stands in the audit that all of them are sent."""
    first, size, digest = b"", 0, hashlib.sha256()
    for name in names:
        content = _read(app, name)
        first = first or content
        size += len(content)
        digest.update(content)
    app.audit.write(
        "result sent", row.tenant, job=row.id, program=row.program, key=row.label, number=number, results=len(names),
        bytes=size, body=digest.hexdigest(), by=by,
    )  # fmt: skip
    return first


def _read(app: App, name: str) -> bytes:
    try:
        return app.blobs.read(name)
    except FileFormatError:
        raise not_found() from None  # deleted meanwhile


async def _contents(app: App, first: bytes, names: list[str]) -> AsyncIterator[bytes]:
    yield first
    for name in names:
        yield await asyncio.to_thread(app.blobs.read, name)


router = Router(
    "/v1/jobs",
    route_handlers=[list_jobs, post_job, get_job, get_events, get_result, delete_job],
    guards=[require_identity],
    tags=["jobs"],
)
