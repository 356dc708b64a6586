"""The queue: which query is evaluated next, by whom, and what became of it.

A lease is an owner and a number that the owner counts up while it lives. Another server takes over only what has not
moved for a whole lease by its own steady clock, so no clock on any wall decides.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, select, update

from heclstm.service import clock
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import DONE, FAILED, QUEUED, RUNNING, WAITING, EvaluationRow
from heclstm.service.database.schema import evaluations, jobs


class Queue:
    """owner: this server's name. Whatever runs under it was left by an earlier run of the same server."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner
        self._seen: dict[int, tuple[int, float]] = {}  # evaluation → (beat, when it was seen first)

    def recover(self) -> int:
        """On start: what this server ran when it ended goes back. Its attempt counts: it may be why it ended."""
        with self._database.write() as connection:
            found = connection.execute(
                update(evaluations)
                .where(evaluations.c.state == RUNNING, evaluations.c.owner == self.owner)
                .values(state=QUEUED, owner="")
            )
            return found.rowcount

    def heads(self, excluding: Collection[int] = ()) -> list[EvaluationRow]:
        """The oldest waiting query of every tenant."""
        first = (
            select(func.min(evaluations.c.id))
            .where(evaluations.c.state == QUEUED, evaluations.c.id.not_in(list(excluding)))
            .group_by(evaluations.c.tenant)
        )
        with self._database.read() as connection:
            rows = connection.execute(select(evaluations).where(evaluations.c.id.in_(first)).order_by(evaluations.c.id))
            return [EvaluationRow(**row) for row in rows.mappings()]

    def claim(self, id: int) -> bool:
        """Lease one that is queued; False if another server or a cancellation was faster."""
        with self._database.write() as connection:
            found = connection.execute(
                update(evaluations)
                .where(evaluations.c.id == id, evaluations.c.state == QUEUED)
                .values(state=RUNNING, owner=self.owner, beat=0, attempts=evaluations.c.attempts + 1)
            )
            return found.rowcount == 1

    def beat(self, ids: Collection[int]) -> set[int]:
        """Sign of life of those that run here; returns the ones that are still wanted, and ours."""
        if not ids:
            return set()
        mine = (evaluations.c.id.in_(list(ids))) & (evaluations.c.owner == self.owner)
        with self._database.write() as connection:
            connection.execute(update(evaluations).where(mine).values(beat=evaluations.c.beat + 1))
            return set(connection.execute(select(evaluations.c.id).where(mine)).scalars())

    def requeue_strays(self, ids: Collection[int]) -> int:
        """Back into the queue: what is leased here, but runs nowhere, since the database's answer was lost."""
        with self._database.write() as connection:
            found = connection.execute(
                update(evaluations)
                .where(
                    evaluations.c.state == RUNNING,
                    evaluations.c.owner == self.owner,
                    evaluations.c.id.not_in(list(ids)),
                )
                .values(state=QUEUED, owner="", attempts=evaluations.c.attempts - 1)
            )
            return found.rowcount

    def finish(self, row: EvaluationRow, seconds: float) -> bool:
        """Its result is stored. False if it was cancelled meanwhile: then the result must go."""
        return self._end(row, state=DONE, seconds=seconds)

    def fail(self, row: EvaluationRow, problem: str) -> bool:
        return self._end(row, state=FAILED, problem=problem)

    def give_back(self, row: EvaluationRow, *, counted: bool) -> None:
        """Into the queue again, at its old place. counted: whether the attempt was one."""
        attempts = evaluations.c.attempts if counted else evaluations.c.attempts - 1
        with self._database.write() as connection:
            connection.execute(
                update(evaluations)
                .where(evaluations.c.id == row.id, evaluations.c.state == RUNNING, evaluations.c.owner == self.owner)
                .values(state=QUEUED, owner="", attempts=attempts)
            )

    def take_over(self, lease_seconds: float) -> int:
        """Requeue what other servers run, but have not said a word about for a lease."""
        now, stale = clock.steady(), []
        with self._database.read() as connection:
            rows = connection.execute(
                select(evaluations.c.id, evaluations.c.beat).where(
                    evaluations.c.state == RUNNING, evaluations.c.owner != self.owner
                )
            ).all()
        seen = {}
        for row in rows:
            beat, since = self._seen.get(row.id, (row.beat, now))
            seen[row.id] = (row.beat, since if beat == row.beat else now)
            if now - seen[row.id][1] > lease_seconds:
                stale.append(row)
        self._seen = seen
        for row in stale:
            with self._database.write() as connection:
                connection.execute(
                    update(evaluations)
                    .where(evaluations.c.id == row.id, evaluations.c.beat == row.beat, evaluations.c.state == RUNNING)
                    .values(state=QUEUED, owner="")
                )
        return len(stale)

    def counts(self) -> dict[str, int]:
        with self._database.read() as connection:
            rows = connection.execute(select(evaluations.c.state, func.count()).group_by(evaluations.c.state)).all()
        return {str(row[0]): int(row[1]) for row in rows}

    def ahead_of(self, row: EvaluationRow) -> int:
        """How many queries will probably begin before this one, when tenants take turns."""
        queued = evaluations.c.state == QUEUED
        with self._database.read() as connection:
            own = connection.execute(
                select(func.count())
                .select_from(evaluations)
                .where(queued, evaluations.c.tenant == row.tenant, evaluations.c.id < row.id)
            ).scalar_one()
            others = connection.execute(
                select(func.count()).where(queued, evaluations.c.tenant != row.tenant).group_by(evaluations.c.tenant)
            ).scalars()
            return int(own) + sum(min(count, own + 1) for count in others)

    def _end(self, row: EvaluationRow, **values: object) -> bool:
        with self._database.write() as connection:
            found = connection.execute(
                update(evaluations)
                .where(evaluations.c.id == row.id, evaluations.c.state == RUNNING, evaluations.c.owner == self.owner)
                .values(owner="", **values)
            )
            if found.rowcount == 0:  # gone; or ended before, and only the answer was lost
                state = connection.execute(select(evaluations.c.state).where(evaluations.c.id == row.id)).scalar()
                return state == values["state"]
            _close_job(connection, row.job)
        return True


def _close_job(connection: Connection, job: str) -> None:
    """Note when the last query of a job has ended."""
    waiting = select(evaluations.c.id).where(evaluations.c.job == job, evaluations.c.state.in_(WAITING)).exists()
    connection.execute(update(jobs).where(jobs.c.id == job, ~waiting).values(finished=clock.now()))


def fair(heads: Sequence[EvaluationRow], turns: dict[str, int]) -> list[EvaluationRow]:
    """The oldest query of each tenant, who waited for the most turns first. turns: tenant → when it was served last."""
    return sorted(heads, key=lambda row: (turns.get(row.tenant, -1), row.id))
