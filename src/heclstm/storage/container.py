"""The container of key files and of messages between hospital and server, on streams: a file, a socket, memory.

    magic 8 | version 2 | kind 2 | header bytes 4 | header (JSON) | blobs, one after another | SHA-256 of all before

The header names the program by its digest and the key by its label, and lists the size of every blob, so a reader
knows the exact length of the whole before it takes in a byte. It is written and read once, from beginning to end.
Integers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from typing import IO, Annotated, Any

from msgspec import Meta, Struct, field
from msgspec.json import schema

from heclstm.errors import FileFormatError
from heclstm.storage.atomic import MAGIC, new_file
from heclstm.storage.json import JsonLimits, parse_object
from heclstm.storage.source import Opened, Place, Source, opened
from heclstm.storage.typed import Digest, Label, typed

VERSION = 1
PREFIX = struct.Struct("<8sHHI")
TRAILER_BYTES = 32
HEADER_BYTES_MAX = 1 << 20
BLOB_BYTES_MAX = 1 << 30

BlobName = Annotated[str, Meta(pattern="^[a-z][a-z0-9 ]{0,63}(?!\\n)$")]
BlobBytes = Annotated[int, Meta(ge=0, le=BLOB_BYTES_MAX)]
FieldName = Annotated[str, Meta(pattern="^[a-z][a-z_]{0,63}(?!\\n)$")]


class Kind(IntEnum):
    SECRET_KEY = 1
    EVALUATION_KEYS = 2
    QUERY = 3
    RESULT = 4

    @property
    def title(self) -> str:
        return self.name.lower().replace("_", " ")


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """program: digest of the program it was made for. key: label of the secret key, random, no secret.

    blobs: (name, bytes) of each blob in order. query: of a query, a random label; of a result, the label of the query
    that it answers. card: of key files, the digest of each field of the card that they were made for.
    """

    kind: Kind
    program: Digest
    key: Label
    blobs: tuple[tuple[BlobName, BlobBytes], ...]
    query: Annotated[str, Meta(pattern="^([0-9a-f]{32})?(?!\\n)$")] = ""
    card: dict[FieldName, Digest] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """Of the whole container."""
        return len(self.encode()) + sum(size for _, size in self.blobs) + TRAILER_BYTES

    def encode(self) -> bytes:
        """Prefix and header."""
        fields: dict[str, Any] = {"program": self.program, "key": self.key, "blobs": self.blobs}
        fields |= {name: value for name, value in (("query", self.query), ("card", self.card)) if value}
        body = json.dumps(fields, separators=(",", ":")).encode()
        return PREFIX.pack(MAGIC, VERSION, self.kind, len(body)) + body


def header_schema() -> dict[str, Any]:
    """JSON Schema of the header as it travels, for those who read it by other means. Its kind stands before it."""
    found: dict[str, Any] = json.loads(json.dumps(schema(Header)))  # lists for tuples, as in JSON
    header = found["$defs"]["Header"]
    del header["properties"]["kind"]
    header["required"].remove("kind")
    return found


class Message:
    """What travels between hospital and server, or stays as a key file: `save` it, `write` it to a stream, or take its
    `bytes`.

    header: what it is, and for which program and key. blobs: from a list, or made while they are written; such a
    message can be written once.
    """

    def __init__(self, header: Header, blobs: Iterable[bytes | bytearray]) -> None:
        self.header = header
        self._blobs = blobs

    def write(self, stream: IO[bytes], on_bytes: Callable[[int], None] | None = None) -> int:
        """Write to a stream; returns the size. on_bytes: told how many bytes went out.

        Raises FileFormatError if blobs are not those that the header lists.
        """
        digest, total = hashlib.sha256(), 0
        for part in self._parts():
            _write(stream, part)
            digest.update(part)
            total += len(part)
            if on_bytes:
                on_bytes(len(part))
        _write(stream, digest.digest())
        return total + TRAILER_BYTES

    def save(self, path: Place, on_bytes: Callable[[int], None] | None = None) -> int:
        """Write a file, which takes its name only when all of it is on disk; a secret key for its owner only."""
        with new_file(Path(path), 0o600 if self.header.kind is Kind.SECRET_KEY else 0o666) as stream:
            return self.write(stream, on_bytes)

    def __bytes__(self) -> bytes:
        """All of it in memory, as it travels."""
        stream = BytesIO()
        self.write(stream)
        return stream.getvalue()

    def __repr__(self) -> str:
        header = self.header
        return f"<{header.kind.title} of {header.total_bytes} bytes for program {header.program[:12]}>"

    def _parts(self) -> Iterator[bytes | bytearray]:
        header = self.header
        yield header.encode()
        rest = iter(header.blobs)
        for blob in self._blobs:
            name, size = next(rest, ("", -1))
            if len(blob) != size:
                raise FileFormatError(
                    f"{header.kind.title}: blob {name!r} has {len(blob)} bytes, its header says {size}"
                )
            yield blob
        if missing := [name for name, _ in rest]:
            raise FileFormatError(f"{header.kind.title}: blobs {missing} are missing")


class Received:
    """A container that is being read: its header first, then its blobs, once."""

    def __init__(self, source: Opened, header: Header, start: bytes) -> None:
        self.header = header
        self.name = source.name
        self._source = source
        self._digest = hashlib.sha256(start)

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """(name, content), in order. Raises FileFormatError at the end if the content was altered on the way: what came
        before must then be thrown away.
        """
        for name, size in self.header.blobs:
            blob = self._take(size)
            self._digest.update(blob)
            yield name, blob
        if self._take(TRAILER_BYTES) != self._digest.digest():
            raise FileFormatError(
                f"{self.name}: its checksum does not fit its content; it was altered or damaged, get it again"
            )

    def blob(self) -> bytes:
        """The only one, checked."""
        ((_, blob),) = self.blobs()
        return blob

    def check(self) -> None:
        """Read to the end and keep nothing. Raises as `blobs`."""
        for _ in self.blobs():
            pass

    def _take(self, count: int) -> bytes:
        piece = self._source.read(count)
        if len(piece) < count:
            raise FileFormatError(f"{self.name}: is truncated: its header says {self.header.total_bytes} bytes")
        return piece


@contextmanager
def received(source: Source, *kinds: Kind) -> Iterator[Received]:
    """Read a container of one of these kinds (of any without one) up to its header.

    Its length must be that of a file or of bytes; after a stream's, another message may follow. Raises FileFormatError.
    """
    wanted = " or ".join(Kind(each).title for each in kinds or Kind)
    with opened(source) as file:
        prefix = file.read(PREFIX.size)
        if len(prefix) < PREFIX.size or not prefix.startswith(MAGIC):
            raise FileFormatError(f"{file.name}: is no heclstm file; expected: {wanted}")
        _, version, kind, length = PREFIX.unpack(prefix)
        if version != VERSION:
            raise FileFormatError(f"{file.name}: has version {version}, this release reads version {VERSION}")
        if kind not in (kinds or set(Kind)):
            title = Kind(kind).title if kind in set(Kind) else f"file of unknown kind {kind}"
            raise FileFormatError(f"{file.name}: holds: {title}; expected: {wanted}")
        if length > HEADER_BYTES_MAX:
            raise FileFormatError(f"{file.name}: has a header of {length} bytes, expected at most {HEADER_BYTES_MAX}")
        body = file.read(length)
        if len(body) < length:
            raise FileFormatError(f"{file.name}: is truncated within its header of {length} bytes")
        header = _parsed(body, Kind(kind), file.name)
        total = len(prefix) + length + sum(size for _, size in header.blobs) + TRAILER_BYTES
        if file.size is not None and file.size != total:
            word = "truncated" if file.size < total else "oversized"
            raise FileFormatError(f"{file.name}: is {word}: {file.size} bytes, its header says {total}")
        yield Received(file, header, prefix + body)


def read_header(source: Source, *kinds: Kind) -> Header:
    """The header alone; of a file or bytes, which can be read again."""
    with received(source, *kinds) as message:
        return message.header


def _parsed(body: bytes, kind: Kind, name: str) -> Header:
    limits = JsonLimits(bytes=HEADER_BYTES_MAX, depth=4, values=HEADER_BYTES_MAX // 4, text=256)
    fields = parse_object(body, f"{name}: its header", limits)
    if "kind" in fields:
        raise FileFormatError(f"{name}: its header names a kind, which stands before it")
    return typed({**fields, "kind": int(kind)}, Header, f"{name}: its header")


def _write(stream: IO[bytes], content: bytes | bytearray) -> None:
    """All of it: a raw stream may take less than it is given."""
    left = memoryview(content)
    while left:
        count = stream.write(left)
        left = left[len(left) if count is None else count :]
