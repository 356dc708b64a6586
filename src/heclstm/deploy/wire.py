"""Messages between hospital and server, and key files: one container for all.

    magic 8 | version 2 | kind 2 | header bytes 4 | header (JSON) | blobs, one after another | SHA-256 of all before

The header names the program by its digest and the key by its label, and lists the size of every blob, so a reader
knows the exact length of the whole before it takes in a byte. Integers are little-endian. Files appear whole or not
at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

from heclstm.errors import DigestError, FileFormatError, OutputError

MAGIC = b"HECLSTM\x00"
VERSION = 1
PREFIX = struct.Struct("<8sHHI")
TRAILER_BYTES = 32
HEADER_BYTES_MAX = 1 << 20
BLOB_BYTES_MAX = 1 << 30


class Kind(IntEnum):
    SECRET_KEY = 1
    EVALUATION_KEYS = 2
    QUERY = 3
    RESULT = 4

    @property
    def title(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Header:
    """program: digest of the program it was made for. key: label of the secret key, random, no secret.

    blobs: (name, bytes) of each blob in order. query: of a query, a random label; of a result, the label of the query
    that it answers.
    """

    kind: Kind
    program: str
    key: str
    blobs: tuple[tuple[str, int], ...]
    query: str = ""

    @property
    def total_bytes(self) -> int:
        return PREFIX.size + len(self._json()) + sum(size for _, size in self.blobs) + TRAILER_BYTES

    def encode(self) -> bytes:
        body = self._json()
        return PREFIX.pack(MAGIC, VERSION, self.kind, len(body)) + body

    def _json(self) -> bytes:
        fields: dict[str, Any] = {"program": self.program, "key": self.key}
        fields["blobs"] = [list(blob) for blob in self.blobs]
        if self.query:
            fields["query"] = self.query
        return json.dumps(fields, separators=(",", ":")).encode()


def write_file(
    path: Path,
    header: Header,
    blobs: Iterable[bytes | bytearray],
    *,
    mode: int = 0o644,
    on_bytes: Callable[[int], None] | None = None,
) -> int:
    """Write one container; returns its size. `path` takes its content only when all of it is on disk."""
    with new_file(path, mode) as stream:
        digest = hashlib.sha256()
        for part in _parts(header, blobs):
            stream.write(part)
            digest.update(part)
            if on_bytes:
                on_bytes(len(part))
        stream.write(digest.digest())
        return stream.tell()


@contextmanager
def new_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write into that takes its name only when the block ends well.

    Raises OutputError if it cannot be written, or if a secret key, a folder or a device stands in its place.
    """
    _require_free(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # created 0600
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _require_free(path: Path) -> None:
    if not path.name or path.is_dir():
        raise OutputError(f"{path or '.'}: is a folder, expected the name of a file to write")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is no regular file, and is not replaced")
    try:
        with path.open("rb") as stream:
            start = stream.read(PREFIX.size)
    except OSError:
        return  # absent or unreadable: no key of ours that could be lost unseen
    if start.startswith(MAGIC) and len(start) == PREFIX.size and PREFIX.unpack(start)[2] == Kind.SECRET_KEY:
        raise OutputError(
            f"{path}: holds a secret key, which is not replaced; move it away first, or choose another name"
        )


def _parts(header: Header, blobs: Iterable[bytes | bytearray]) -> Iterator[bytes | bytearray]:
    yield header.encode()
    rest = iter(header.blobs)
    for blob in blobs:
        name, size = next(rest, ("", -1))
        if len(blob) != size:
            raise FileFormatError(f"{header.kind.title}: blob {name!r} has {len(blob)} bytes, its header says {size}")
        yield blob
    if missing := [name for name, _ in rest]:
        raise FileFormatError(f"{header.kind.title}: blobs {missing} are missing")


def read_header(path: Path, kind: Kind) -> Header:
    """The header of a container of this kind, whose length fits the file. Reads no blob."""
    with _opened(path) as stream:
        return _read_header(stream, path, kind)[0]


def read_file(path: Path, kind: Kind) -> Iterator[tuple[str, bytes]]:
    """The blobs by name, in order. Raises FileFormatError at the end if the content was altered on the way:
    what came before must then be thrown away.
    """
    with _opened(path) as stream:
        header, digest = _read_header(stream, path, kind)
        for name, size in header.blobs:
            blob = stream.read(size)
            digest.update(blob)
            yield name, blob
        if stream.read(TRAILER_BYTES) != digest.digest():
            raise FileFormatError(
                f"{path}: its checksum does not fit its content; it was altered or damaged, get it again"
            )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error


def _read_header(stream: BinaryIO, path: Path, kind: Kind) -> tuple[Header, Any]:
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size or not prefix.startswith(MAGIC):
        raise FileFormatError(f"{path}: is no heclstm file")
    _, version, found, length = PREFIX.unpack(prefix)
    if version != VERSION:
        raise FileFormatError(f"{path}: has version {version}, this release reads version {VERSION}")
    if found != kind:
        title = Kind(found).title if found in set(Kind) else f"file of unknown kind {found}"
        raise FileFormatError(f"{path}: holds: {title}; expected: {kind.title}")
    if length > HEADER_BYTES_MAX:
        raise FileFormatError(f"{path}: has a header of {length} bytes, expected at most {HEADER_BYTES_MAX}")
    body = stream.read(length)
    header = _parse(body, kind, path)
    size = os.fstat(stream.fileno()).st_size
    expected = PREFIX.size + length + sum(size for _, size in header.blobs) + TRAILER_BYTES
    if size != expected:
        word = "truncated" if size < expected else "oversized"
        raise FileFormatError(f"{path}: is {word}: {size} bytes, its header says {expected}")
    digest = hashlib.sha256(prefix + body)
    return header, digest


def _parse(body: bytes, kind: Kind, path: Path) -> Header:
    try:
        fields = json.loads(body)
        blobs = tuple((name, size) for name, size in fields["blobs"])
        header = Header(kind, fields["program"], fields["key"], blobs, fields.get("query", ""))
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: its header cannot be read") from error
    sane = all(type(name) is str and type(size) is int and 0 <= size <= BLOB_BYTES_MAX for name, size in blobs)
    if not sane or {type(header.program), type(header.key), type(header.query)} != {str}:
        raise FileFormatError(f"{path}: its header holds fields of the wrong type or size")
    return header


def require_program(header: Header, digest: str, path: Path | str) -> None:
    """Raise DigestError unless the container was made for the program with this digest."""
    if header.program != digest:
        raise DigestError(
            f"{path}: this {header.kind.title} was made for program {header.program[:12]}, expected {digest[:12]}; "
            "make it again with the program.json of the server"
        )


def require_key(header: Header, label: str, path: Path | str) -> None:
    """Raise DigestError unless the container belongs to the secret key with this label."""
    if header.key != label:
        raise DigestError(
            f"{path}: this {header.kind.title} belongs to key {header.key[:12]}, expected {label[:12]}; "
            "use files made with one secret key"
        )


def require_query(header: Header, query: Header, path: Path | str) -> None:
    """Raise DigestError unless the result answers this query."""
    if header.query != query.query:
        raise DigestError(
            f"{path}: answers query {header.query[:12]}, expected {query.query[:12]}; it belongs to another sequence"
        )


def require_sizes(header: Header, expected: list[tuple[str, int]], path: Path | str) -> None:
    """Raise FileFormatError unless the blobs are exactly these, before any of them is read."""
    if list(header.blobs) != expected:
        names = [name for name, _ in expected]
        raise FileFormatError(
            f"{path}: holds {len(header.blobs)} blobs of {sum(size for _, size in header.blobs)} bytes, expected "
            f"{len(expected)} of {sum(size for _, size in expected)} ({names[0]} … {names[-1]})"
        )
