"""Jobs as tenants know them: accepted once, asked for, cancelled, erased. The queue of their queries is in `queue`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from heclstm.service import clock
from heclstm.service.config import Quotas
from heclstm.service.database.connection import Database
from heclstm.service.database.schema import evaluations, jobs, key_sets, usage
from heclstm.service.problems import Problem

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
WAITING = (QUEUED, RUNNING)


class NewJob(Struct, frozen=True):
    """idempotency: two jobs of one tenant never share it. body: SHA-256 of what was sent, of so many bytes."""

    id: str
    tenant: str
    idempotency: str
    body: str
    program: str
    label: str
    queries: int
    bytes: int = 0


class EvaluationRow(Struct, frozen=True):
    """number: which query of the job. problem: a code of `problems`, once it failed."""

    id: int
    job: str
    number: int
    tenant: str
    program: str
    label: str
    state: str
    owner: str
    beat: int
    attempts: int
    problem: str
    seconds: float | None

    @property
    def query_blob(self) -> str:
        return query_blob(self.job, self.number)

    @property
    def result_blob(self) -> str:
        return result_blob(self.job, self.number)


class JobRow(Struct, frozen=True):
    id: str
    tenant: str
    idempotency: str
    body: str
    program: str
    label: str
    queries: int
    created: float
    finished: float | None
    bytes: int
    evaluations: tuple[EvaluationRow, ...]

    @property
    def state(self) -> str:
        """failed, if one query did; done, if all are; running, if one does or some are done; else queued."""
        states = {each.state for each in self.evaluations}
        if states <= {DONE, FAILED}:
            return FAILED if FAILED in states else DONE
        return QUEUED if states == {QUEUED} else RUNNING


class Jobs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, job: NewJob, quotas: Quotas, tell: Callable[[], object] = lambda: None) -> tuple[str, bool]:
        """(id, whether it is new): the same body under the same idempotency key is one job.

        tell: of a new job, before it stands in the database; what it raises keeps it out.

        Raises Problem if the keys are gone meanwhile, or a quota is used up. When it returns, the job is on disk.
        """
        now = clock.now()
        with self._database.write() as connection:
            if not self._database.sqlite:  # one tenant's quota is counted by one request at a time
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(job.tenant))))
            found = connection.execute(
                select(jobs.c.id, jobs.c.body).where(jobs.c.tenant == job.tenant, jobs.c.idempotency == job.idempotency)
            ).first()
            if found:
                if found.body != job.body:
                    raise Problem(
                        "idempotency-mismatch",
                        "Idempotency-Key: was used for another body before; use a new one for a new job",
                    )
                return found.id, False
            _require_keys(connection, job)
            _count(connection, job, quotas, clock.day(now))
            fields = {name: getattr(job, name) for name in job.__struct_fields__}
            connection.execute(insert(jobs).values(**fields, created=now))
            common: dict[str, str | int] = {
                "job": job.id,
                "tenant": job.tenant,
                "program": job.program,
                "label": job.label,
            }
            common |= {"state": QUEUED, "owner": "", "beat": 0, "attempts": 0, "problem": ""}
            connection.execute(insert(evaluations), [{**common, "number": i} for i in range(job.queries)])
            tell()
        return job.id, True

    def known(self, tenant: str, idempotency: str) -> bool:
        with self._database.read() as connection:
            return (
                connection.execute(
                    select(jobs.c.id).where(jobs.c.tenant == tenant, jobs.c.idempotency == idempotency)
                ).first()
                is not None
            )

    def get(self, tenant: str, id: str) -> JobRow | None:
        with self._database.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == id, jobs.c.tenant == tenant)).mappings().first()
            return _job(connection, row) if row else None

    def of(self, tenant: str, limit: int, after: str | None) -> list[JobRow]:
        """Newest first. after: the id of the last one that was seen."""
        query = select(jobs).where(jobs.c.tenant == tenant).order_by(jobs.c.created.desc(), jobs.c.id).limit(limit)
        with self._database.read() as connection:
            if after is not None:
                seen = connection.execute(select(jobs.c.created).where(jobs.c.id == after, jobs.c.tenant == tenant))
                created = seen.scalar_one_or_none()
                if created is None:
                    return []
                query = query.where((jobs.c.created < created) | ((jobs.c.created == created) & (jobs.c.id > after)))
            return [_job(connection, row) for row in connection.execute(query).mappings().all()]

    def remove(self, tenant: str, id: str, tell: Callable[[JobRow], object] = lambda row: None) -> JobRow | None:
        """Erase a job, in whatever state; returns what it was. tell: before it is gone; what it raises keeps it."""
        with self._database.write() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == id, jobs.c.tenant == tenant)).mappings().first()
            if row is None:
                return None
            job = _job(connection, row)
            connection.execute(delete(evaluations).where(evaluations.c.job == id))
            connection.execute(delete(jobs).where(jobs.c.id == id))
            tell(job)
        return job

    def remove_of_keys(self, tenant: str, label: str, tell: Callable[[JobRow], object]) -> list[JobRow]:
        """Erase the jobs that wait for keys that are being deleted. tell: of each, as in `remove`."""
        waiting = select(evaluations.c.job).where(
            evaluations.c.tenant == tenant, evaluations.c.label == label, evaluations.c.state.in_(WAITING)
        )
        with self._database.read() as connection:
            ids = set(connection.execute(waiting).scalars())
        return [job for id in sorted(ids) if (job := self.remove(tenant, id, tell))]

    def expired(self, before: float) -> list[tuple[str, str]]:
        """(tenant, id) of the jobs that ended before this moment."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs.c.tenant, jobs.c.id).where(jobs.c.finished < before))
            return [(row.tenant, row.id) for row in rows]

    def ids(self) -> set[str]:
        with self._database.read() as connection:
            return set(connection.execute(select(jobs.c.id)).scalars())

    def forget_usage(self, before: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(usage).where(usage.c.day < before))


def query_blob(job: str, number: int) -> str:
    return f"queries/{job}-{number}"


def result_blob(job: str, number: int) -> str:
    return f"results/{job}-{number}"


def blobs_of(job: str, queries: int) -> Sequence[str]:
    return [name(job, number) for name in (query_blob, result_blob) for number in range(queries)]


def _job(connection: Connection, row: RowMapping) -> JobRow:
    found = connection.execute(
        select(evaluations).where(evaluations.c.job == row["id"]).order_by(evaluations.c.number)
    ).mappings()
    return JobRow(**row, evaluations=tuple(EvaluationRow(**each) for each in found))


def _require_keys(connection: Connection, job: NewJob) -> None:
    """Keys that are deleted after this lock took their jobs along; keys deleted before are noticed here."""
    found = connection.execute(
        select(key_sets.c.state).where(
            key_sets.c.tenant == job.tenant, key_sets.c.label == job.label, key_sets.c.program == job.program
        )
    ).scalar_one_or_none()
    if found != "ready":
        raise unknown_keys(job.label)


def unknown_keys(label: str) -> Problem:
    return Problem(
        "unknown-keys",
        f"query: its evaluation keys ({label[:12]}) are not stored here, or not yet whole; upload them first, then "
        "send the query again",
    )


def _count(connection: Connection, job: NewJob, quotas: Quotas, day: str) -> None:
    waiting = connection.execute(
        select(func.count())
        .select_from(evaluations)
        .where(evaluations.c.tenant == job.tenant, evaluations.c.state.in_(WAITING))
    ).scalar_one()
    if waiting + job.queries > quotas.queued:
        raise Problem(
            "quota-queued",
            f"{waiting} queries wait or run, at most {quotas.queued} may; wait for results, then send again",
            retry_after_seconds=10,
        )
    this_day = (usage.c.tenant == job.tenant) & (usage.c.day == day)
    used = connection.execute(select(usage.c.queries).where(this_day)).scalar_one_or_none()
    if (used or 0) + job.queries > quotas.daily:
        raise Problem(
            "quota-daily",
            f"{used or 0} queries were accepted today (UTC), at most {quotas.daily} are; send again tomorrow",
            retry_after_seconds=3600,
        )
    if used is None:
        connection.execute(insert(usage).values(tenant=job.tenant, day=day, queries=job.queries))
    else:
        connection.execute(update(usage).where(this_day).values(queries=used + job.queries))
