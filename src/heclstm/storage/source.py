"""Where bytes come from: a file, bytes in memory, a stream such as a socket's, or what makes bytes of itself."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, SupportsBytes

from heclstm.errors import FileFormatError

Place = str | os.PathLike[str]  # of a file or folder
Source = Place | bytes | bytearray | memoryview | SupportsBytes | IO[bytes]
PIECE_BYTES = 1 << 24  # no more is asked for at once: a stream may set aside what it was asked for


@dataclass(frozen=True)
class Opened:
    """A stream to read once, from its beginning. name: for messages. size: bytes in all, where the source tells."""

    stream: IO[bytes]
    name: str
    size: int | None

    def read(self, count: int) -> bytes:
        """`count` bytes, or fewer at the end. A stream may hand over fewer than it was asked for; it is asked again."""
        pieces, missing = [], count
        try:
            while missing and (piece := self.stream.read(min(missing, PIECE_BYTES))):
                pieces.append(piece)
                missing -= len(piece)
        except OSError as error:
            raise FileFormatError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        return b"".join(pieces)  # of one piece no copy

    def read_all(self, limit: int) -> bytes:
        """Everything that is left. Raises FileFormatError beyond `limit` bytes, and takes in no more than those."""
        content = b"" if self.size is not None and self.size > limit else self.read(limit + 1)
        if self.size is not None and self.size > limit or len(content) > limit:
            raise FileFormatError(f"{self.name}: larger than {limit} bytes, which is more than such a file has")
        return content


@contextmanager
def opened(source: Source) -> Iterator[Opened]:
    """Open a file (a regular one), or take bytes or a stream as they are; a stream stays open.

    Raises FileFormatError.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
        yield Opened(BytesIO(content), name_of(content), len(content))
    elif isinstance(source, str | os.PathLike):  # before what makes bytes: a path does, of its name
        with _file(Path(source)) as stream:
            yield Opened(stream, str(source), os.fstat(stream.fileno()).st_size)
    elif isinstance(source, SupportsBytes):
        with opened(bytes(source)) as file:
            yield file
    elif hasattr(source, "read"):
        yield Opened(source, name_of(source), None)
    else:
        raise FileFormatError(f"{type(source).__name__}: is no source; expected a path, bytes, a stream or a Message")


def name_of(source: Source) -> str:
    """What messages call it: a path where there is one."""
    if isinstance(source, bytes | bytearray | memoryview):
        return f"message of {len(source)} bytes"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "message" if isinstance(source, SupportsBytes) else "stream"


def _file(path: Path) -> IO[bytes]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever, and /dev/zero never end
            raise FileFormatError(f"{path}: cannot be read (it is no regular file)")
        return path.open("rb")
    except (OSError, ValueError) as error:  # a ValueError is a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) else "no name of a file"
        raise FileFormatError(f"{path}: cannot be read ({reason})") from error
