"""What the server and its child processes tell each other."""

from __future__ import annotations

from msgspec import Struct


class Message(Struct, frozen=True, tag=True):
    """Each becomes a frame of MessagePack with its name."""


# server → worker


class Load(Message, frozen=True):
    """The first: of which program, with how many threads, 0 for all; and where blobs are.

    at_once: bytes of memory that are granted already. A program that takes no more, with one key set, is prepared
    without being told.
    """

    folder: str
    threads: int
    blobs: str
    state: str
    at_once: int = 0


class Prepare(Message, frozen=True):
    """The memory has been granted. One that has prepared by itself is told, too."""


class Task(Message, frozen=True):
    """keys: name of the expanded key set, as of others to close before; its blob is keys/NAME."""

    evaluation: int
    keys: str
    query: bytes
    close: tuple[str, ...] = ()


class CloseKeys(Message, frozen=True):
    """erased: they are no more, and nothing of them may stay with the worker. Otherwise they only make room."""

    keys: tuple[str, ...]
    erased: bool = False


class Cancel(Message, frozen=True):
    evaluation: int


# worker → server


class Loaded(Message, frozen=True):
    """What the program will take, in bytes: of the worker, and of each key set that it opens."""

    program_bytes: int
    key_bytes: int


class Ready(Message, frozen=True):
    """shared_bytes: of its memory, those that all workers of the program on this machine share: of a file."""

    seconds: float
    shared_bytes: int = 0


class Progress(Message, frozen=True):
    """layer: the one that was finished last."""

    evaluation: int
    share: float
    layer: str


class Result(Message, frozen=True):
    evaluation: int
    content: bytes
    seconds: float


class Failed(Message, frozen=True):
    """code: of `problems`. again: whether it may go well another time (no memory, no disk).

    Of one that should prepare, with evaluation 0: there is no room for it now.
    """

    evaluation: int
    code: str
    detail: str
    again: bool = False


# server ↔ intake


class Begin(Message, frozen=True):
    """program: folder. label: the keys that it must be. source: the file that grows. target: the expanded one."""

    upload: str
    program: str
    label: str
    source: str
    target: str


class More(Message, frozen=True):
    """The file has this many bytes now. last: and will have no more."""

    upload: str
    size: int
    last: bool


class Drop(Message, frozen=True):
    upload: str


class Expanded(Message, frozen=True):
    upload: str


class Refused(Message, frozen=True):
    upload: str
    code: str
    detail: str


class Paused(Message, frozen=True):
    """Nothing came for a while, so its memory was given back; it begins anew when more comes."""

    upload: str


Any = (
    Load
    | Prepare
    | Task
    | CloseKeys
    | Cancel
    | Loaded
    | Ready
    | Progress
    | Result
    | Failed
    | Begin
    | More
    | Drop
    | Expanded
    | Refused
    | Paused
)
