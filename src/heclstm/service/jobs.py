"""What a tenant is told of a job."""

from __future__ import annotations

from heclstm.service import clock
from heclstm.service.app_state import App
from heclstm.service.database.jobs import DONE, FAILED, QUEUED, RUNNING, JobRow
from heclstm.service.http.models import Failure, JobStatus


def job_status(app: App, row: JobRow) -> JobStatus:
    states = [each.state for each in row.evaluations]
    done = states.count(DONE)
    ended = done + states.count(FAILED)
    share, layer = 0.0, None
    for each in row.evaluations:
        if each.state == RUNNING and (found := app.dispatcher.running(each.id)):
            share += found[0]
            layer = found[1] or layer
    queued = [each for each in row.evaluations if each.state == QUEUED]
    position = app.queue.ahead_of(queued[0]) if queued else None
    finished = row.finished
    return JobStatus(
        id=row.id,
        state=row.state,  # type: ignore[arg-type]
        program=row.program,
        key=row.label,
        queries=row.queries,
        done=done,
        failures=[Failure(each.number, each.problem) for each in row.evaluations if each.state == FAILED],
        position=position,
        layer=layer,
        progress=round((ended + share) / row.queries, 4),
        seconds_left=_seconds_left(app, row, row.queries - ended - share, position),
        created=clock.iso(row.created) or "",
        finished=clock.iso(finished),
        expires=None if finished is None else clock.iso(finished + 86400 * app.config.retention.results_days),
    )


def _seconds_left(app: App, row: JobRow, evaluations: float, position: int | None) -> float | None:
    """Its own work, and that of those before it, shared by all workers."""
    if evaluations <= 0:
        return 0.0
    pace = app.dispatcher.pace.get(row.program)
    if pace is None:
        return None
    workers = app.dispatcher.workers
    return round(pace * (evaluations / min(row.queries, workers) + (position or 0) / workers), 1)
