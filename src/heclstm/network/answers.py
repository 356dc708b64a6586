"""What a server tells, as far as a hospital needs it. Fields that a newer server adds are passed over."""

from __future__ import annotations

from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from heclstm.errors import FileFormatError, NetworkError
from heclstm.network.steps import Answer
from heclstm.storage.typed import Count, Digest, Label, Line, Name, Share, typed

T = TypeVar("T")
State = Annotated[str, Meta(pattern="^[a-z]{1,20}(?!\\n)$")]

Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class Offered(Struct, frozen=True):
    """A program. retired: keys and queries for it are refused, and successor says which to use instead."""

    digest: Digest
    name: Name
    retired: bool
    successor: Digest | None
    key_bytes: Count
    query_bytes: Count
    result_bytes: Count


class Programs(Struct, frozen=True):
    programs: Annotated[tuple[Offered, ...], Meta(max_length=10_000)]


class KeyStatus(Struct, frozen=True):
    """state: receiving, expanding or ready."""

    key: Label
    program: Digest
    state: State
    received_bytes: Count
    upload_bytes: Count
    expires: Name = ""


class Keys(Struct, frozen=True):
    keys: Annotated[tuple[KeyStatus, ...], Meta(max_length=100_000)]


class Failure(Struct, frozen=True):
    number: Count
    code: Name


class JobStatus(Struct, frozen=True):
    """state: queued, running, done or failed."""

    id: Label
    state: State
    program: Digest
    key: Label
    queries: Count
    done: Count
    progress: Share = 0.0
    failures: Annotated[tuple[Failure, ...], Meta(max_length=10_000)] = ()
    position: Count | None = None
    layer: Line | None = None
    seconds_left: Seconds | None = None
    created: Name = ""
    finished: Name | None = None
    expires: Name | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")


class Jobs(Struct, frozen=True):
    jobs: Annotated[tuple[JobStatus, ...], Meta(max_length=10_000)]
    next: Label | None = None


def read(answer: Answer, kind: type[T]) -> T:
    """Raises NetworkError for what no server of heclstm says."""
    try:
        return typed(answer.json(), kind, "server: its answer")
    except FileFormatError as error:
        raise NetworkError(f"{error}; is it a server of heclstm, and of this version?") from error
