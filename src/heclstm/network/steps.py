"""What a conversation with a server is made of. It is a generator: it yields a step and gets what became of it.

So it knows no socket, no thread and no event loop, and is tested with a list of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from heclstm.errors import FileFormatError, NetworkError
from heclstm.storage.json import parse_object

T = TypeVar("T")
ANSWER_BYTES_MAX = 8 << 20
TIMEOUT_SECONDS = 30.0  # without a byte, in either direction
OnProgress = Callable[[float, float], None]  # (done, in all)


@dataclass(frozen=True)
class Body:
    """What is sent: pieces made anew for every try. size: their sum in bytes."""

    pieces: Callable[[], Iterator[bytes]]
    size: int

    @classmethod
    def of(cls, content: bytes) -> Body:
        return cls(lambda: iter((content,)), len(content))


@dataclass(frozen=True)
class Ask:
    """A request, and how long an answer to it may be and take."""

    method: str
    path: str
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    answer_bytes_max: int = ANSWER_BYTES_MAX
    timeout_seconds: float = TIMEOUT_SECONDS

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Do:
    """Work of this machine, which may take long: an event loop does it in a thread."""

    work: Callable[[], Any]


@dataclass(frozen=True, repr=False)
class Answer:
    """headers: by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """The object that it is. Raises NetworkError: whatever is there, no server of heclstm said it."""
        try:
            return parse_object(self.content, "answer")
        except FileFormatError as error:
            raise NetworkError(
                f"server: answered {self.status} with what is no JSON object; is there another service at this URL?"
            ) from error


class Cut(Exception):
    """Thrown into the conversation: there was no answer, or only a part. Whether the request was heard is not known."""


Step = Ask | Wait | Do
Steps = Generator[Step, Any, T]


def do(work: Callable[[], T]) -> Steps[T]:
    done: T = yield Do(work)
    return done
