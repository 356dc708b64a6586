"""What is answered, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from heclstm.storage.typed import Digest, Label


class ProgramSummary(Struct, frozen=True):
    """One program. retired: its routes answer 410, and successor says which program to use instead."""

    digest: Digest
    name: str
    retired: bool
    successor: str | None
    frames: int
    key_bytes: Annotated[int, Meta(description="Bytes of an upload of evaluation keys, without its header")]
    query_bytes: Annotated[int, Meta(description="Bytes of one query's ciphertexts")]
    result_bytes: Annotated[int, Meta(description="Bytes of one result's ciphertext")]


class ProgramList(Struct, frozen=True):
    programs: list[ProgramSummary]


class KeyStatus(Struct, frozen=True):
    """Evaluation keys, or an upload of them. Times are in UTC, as in RFC 3339.

    state: receiving (send the rest from received_bytes on), expanding (all arrived), ready.
    expires: when they are erased, unless they are used before.
    """

    key: Label
    program: Digest
    state: Literal["receiving", "expanding", "ready"]
    received_bytes: int
    upload_bytes: int
    stored_bytes: int
    created: str
    age_seconds: float
    last_used: str
    expires: str


class KeyList(Struct, frozen=True):
    keys: list[KeyStatus]


class Failure(Struct, frozen=True):
    """number: which query of the job, from 0. code: see docs/errors.md."""

    number: int
    code: str


class JobStatus(Struct, frozen=True):
    """A job: one query or a batch of them.

    done: how many have a result. position: queries that will probably begin before its next one; null once none waits.
    layer: that was finished last, of the query that runs. progress: 0 to 1, of the whole job.
    seconds_left: estimated; null while nothing was measured yet. expires: when the results are erased.
    """

    id: Label
    state: Literal["queued", "running", "done", "failed"]
    program: Digest
    key: Label
    queries: int
    done: int
    failures: list[Failure]
    position: int | None
    layer: str | None
    progress: float
    seconds_left: float | None
    created: str
    finished: str | None
    expires: str | None


class JobList(Struct, frozen=True):
    """next: give it as `after` for the following page; null at the end."""

    jobs: list[JobStatus]
    next: str | None


class Health(Struct, frozen=True):
    status: Literal["ok"]
