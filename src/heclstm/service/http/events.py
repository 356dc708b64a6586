"""Server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from heclstm.service import clock
from heclstm.service.app_state import App
from heclstm.service.database.jobs import DONE, FAILED
from heclstm.service.http.models import JobStatus
from heclstm.service.jobs import job_status

QUIET_SECONDS = 15.0  # after which a comment tells proxies that the connection lives
PAUSE_SECONDS = 0.2  # between two events


async def events_of(app: App, tenant: str, job: str) -> AsyncIterator[bytes]:
    """Until the job has ended or is gone, or the server stops."""
    before: JobStatus | None = None
    told = clock.steady()
    while not app.hub.closed:
        row = await asyncio.to_thread(app.jobs.get, tenant, job)
        if row is None:
            yield b"event: gone\ndata: {}\n\n"
            return
        status = await asyncio.to_thread(job_status, app, row)
        if status != before:
            yield b"event: job\ndata: " + msgspec.json.encode(status) + b"\n\n"
            before, told = status, clock.steady()
        elif clock.steady() - told > QUIET_SECONDS:
            yield b": still here\n\n"
            told = clock.steady()
        if status.state in (DONE, FAILED):
            return
        await asyncio.sleep(PAUSE_SECONDS)
        await app.hub.wait(job, QUIET_SECONDS, progress=True)
