"""What an operator sees at a glance: numbers of tenants, keys, queries and failures; no label, id or content."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import func, select

from heclstm.service import clock
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import FAILED, QUEUED, RUNNING
from heclstm.service.database.key_sets import READY
from heclstm.service.database.schema import evaluations, jobs, key_sets, tenants, tokens, usage

FAILURES_SHOWN = 20


class TenantRow(Struct, frozen=True):
    """key_bytes: of stored keys. oldest, unused: seconds since its oldest keys were made, and since those used longest
    ago were; None without keys. today: queries that were accepted this day (UTC). tokens: that are valid.
    """

    name: str
    keys: int
    key_bytes: int
    oldest: float | None
    unused: float | None
    queued: int
    running: int
    today: int
    tokens: int


class FailureRow(Struct, frozen=True):
    """problem: its code. count: of queries whose job is still kept."""

    problem: str
    program: str
    count: int


class Overview:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tenants(self) -> list[TenantRow]:
        """All of them, by name."""
        now = clock.now()
        valid = tokens.c.revoked.is_(None) & (tokens.c.expires.is_(None) | (tokens.c.expires > now))
        with self._database.read() as connection:
            names = list(connection.execute(select(tenants.c.name).order_by(tenants.c.name)).scalars())
            keys = {
                row.tenant: row
                for row in connection.execute(
                    select(
                        key_sets.c.tenant,
                        func.count().label("sets"),
                        func.sum(key_sets.c.stored_bytes).label("bytes"),
                        func.min(key_sets.c.created).label("made"),
                        func.min(key_sets.c.last_used).label("used"),
                    )
                    .where(key_sets.c.state == READY)
                    .group_by(key_sets.c.tenant)
                )
            }
            counted = connection.execute(
                select(evaluations.c.tenant, evaluations.c.state, func.count()).group_by(
                    evaluations.c.tenant, evaluations.c.state
                )
            )
            states = {(row[0], row[1]): int(row[2]) for row in counted}
            day = select(usage.c.tenant, usage.c.queries).where(usage.c.day == clock.day(now))
            today = {row.tenant: row.queries for row in connection.execute(day)}
            found = select(tokens.c.tenant, func.count()).where(valid).group_by(tokens.c.tenant)
            held = {row[0]: int(row[1]) for row in connection.execute(found)}
        everybody = sorted({*names, *keys, *today, *(name for name, _ in states)})
        return [
            TenantRow(
                name,
                keys[name].sets if name in keys else 0,
                int(keys[name].bytes) if name in keys else 0,
                now - keys[name].made if name in keys else None,
                now - keys[name].used if name in keys else None,
                states.get((name, QUEUED), 0),
                states.get((name, RUNNING), 0),
                today.get(name, 0),
                held.get(name, 0),
            )
            for name in everybody
        ]

    def failures(self) -> list[FailureRow]:
        """The most frequent first."""
        count = func.count().label("count")
        with self._database.read() as connection:
            rows = connection.execute(
                select(evaluations.c.problem, evaluations.c.program, count)
                .where(evaluations.c.state == FAILED)
                .group_by(evaluations.c.problem, evaluations.c.program)
                .order_by(count.desc(), evaluations.c.problem)
                .limit(FAILURES_SHOWN)
            )
            return [FailureRow(row.problem, row.program, row[2]) for row in rows]

    def longest_wait(self) -> float | None:
        """Seconds since the job of the oldest waiting query came; None if none waits."""
        waiting = select(evaluations.c.job).where(evaluations.c.state == QUEUED)
        with self._database.read() as connection:
            came = connection.execute(select(func.min(jobs.c.created)).where(jobs.c.id.in_(waiting))).scalar()
        return None if came is None else max(0.0, clock.now() - came)
