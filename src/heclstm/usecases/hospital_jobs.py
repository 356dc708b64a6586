"""What is under way at the server: whose it is, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heclstm.errors import InputError
from heclstm.network import calls
from heclstm.network.answers import JobStatus
from heclstm.network.pending import Pending
from heclstm.network.remote import Remote


@dataclass(frozen=True)
class Row:
    """pending: what this site knows of it; None for a job of another site with the same token. job: what the server
    knows; None if it is not sent, or gone there. read: whether its result lies here already.
    """

    pending: Pending | None
    job: JobStatus | None
    here: bool = False

    @property
    def state(self) -> str:
        if self.here:
            return "arrived"
        if self.job is not None:
            return self.job.state
        return "lost" if self.pending and self.pending.job else "not sent"

    def to_json(self) -> dict[str, Any]:
        job = self.job
        return {
            "name": self.pending.name if self.pending else None,
            "query": self.pending.query if self.pending else None,
            "job": job.id if job else (self.pending.job or None) if self.pending else None,
            "state": self.state,
            "position": job.position if job else None,
            "progress": job.progress if job else None,
            "seconds_left": job.seconds_left if job else None,
        }


def jobs(remote: Remote) -> list[Row]:
    """All that this site waits for, and other jobs of the tenant."""
    hospital = remote.hospital
    there = {job.id: job for job in remote.transport.run(calls.list_jobs(hospital.patience))}
    pending = hospital.pending.all()
    rows = [Row(each, there.pop(each.job, None), hospital.pending.result(each) is not None) for each in pending]
    return rows + [Row(None, job) for job in there.values()]


def cancel(remote: Remote, name: str) -> Pending:
    """Erase one that is under way, here and at the server. name: of the sequence, or the beginning of a query or job.

    Raises InputError unless exactly one is called so.
    """
    pending = remote.hospital.pending.all()
    found = [each for each in pending if name == each.name]
    found = found or [
        each for each in pending if len(name) >= 6 and (each.query + " " + each.job).find(name) in (0, 33)
    ]
    if len(found) != 1:
        raise InputError(f"jobs: {len(found)} queries under way are called {name[:64]!r}; `heclstm jobs` lists them")
    remote.transport.run(remote.hospital.cancel(found[0]))
    return found[0]
