"""Zip archives whose list of files is of a sane size: Python makes an object of each entry before anybody can count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast
from zipfile import ZipFile

from heclstm.errors import FileFormatError

DIRECTORY_BYTES_MAX = 8 << 20  # 20,000 files with names of 300 bytes


class _Listed:
    """A stream that refuses to be read in one piece longer than a list of files, while it is asked for one."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name, self.listing = stream, name, True
        self.seek, self.tell, self.close, self.seekable = stream.seek, stream.tell, stream.close, stream.seekable

    def read(self, count: int = -1) -> bytes:
        if self.listing and count > DIRECTORY_BYTES_MAX:
            raise FileFormatError(
                f"{self._name}: its list of files has {count} bytes, expected at most {DIRECTORY_BYTES_MAX}"
            )
        return self._stream.read(count)


@contextmanager
def opened_archive(stream: IO[bytes], name: str) -> Iterator[ZipFile]:
    """name: for messages. Raises FileFormatError for too long a list, and what zipfile raises."""
    listed = _Listed(stream, name)
    with ZipFile(cast(IO[bytes], listed)) as archive:
        listed.listing = False
        yield archive
