"""The heads of a container that is still arriving and of what it holds: what they say they are, before any is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from io import BytesIO

from heclstm.card.program_card import ProgramCard
from heclstm.circuit import heads
from heclstm.deploy.keys import evaluation_key_blobs, query_blobs
from heclstm.deploy.wire import require_card, require_program, require_sizes
from heclstm.errors import DigestError, FileFormatError
from heclstm.service.problems import Problem
from heclstm.service.programs import Programs, Served
from heclstm.storage.atomic import MAGIC, is_secret
from heclstm.storage.container import HEADER_BYTES_MAX, PREFIX, TRAILER_BYTES, Header, Kind, received

START_BYTES = 64  # a secret key is told by them


def read_head(start: bytes, kind: Kind) -> tuple[Header, int] | None:
    """(header, bytes of the whole container) of one that begins so; None if more of it must come first.

    Raises Problem: a secret key, a foreign file, another kind or version.
    """
    require_no_secret(start)
    if len(start) < PREFIX.size and MAGIC.startswith(start[: len(MAGIC)]):
        return None
    try:
        if len(start) >= PREFIX.size:
            magic, _, found, length = PREFIX.unpack_from(start)
            plausible = magic == MAGIC and found == kind and length <= HEADER_BYTES_MAX
            if plausible and len(start) < PREFIX.size + length:
                return None
        with received(BytesIO(start), kind) as message:
            header = message.header
    except FileFormatError as error:
        raise Problem("foreign-file", str(error)) from error
    size = PREFIX.size + length + sum(size for _, size in header.blobs) + TRAILER_BYTES
    return header, size


def require_no_secret(start: bytes) -> None:
    """start: at least START_BYTES of a body, or all of it."""
    if is_secret(start[:START_BYTES]):
        raise Problem(
            "secret-key",
            "body: it is a SECRET KEY, which must never leave the hospital. It was not stored, but it was sent: make "
            "new keys (heclstm keygen), upload their evaluation.keys, and do not use this one again",
        )


async def without_secret(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, the first of them only once it is seen that no secret key begins there."""
    start = b""
    async for piece in body:
        if len(start) >= START_BYTES:
            yield piece
            continue
        start += piece
        if len(start) >= START_BYTES:
            require_no_secret(start)
            yield start
    if 0 < len(start) < START_BYTES:
        require_no_secret(start)
        yield start


def require_keys_of(header: Header, label: str, programs: Programs) -> Served:
    """The program of these evaluation keys. Raises Problem unless they are exactly what it needs."""
    served = programs.get(header.program)
    if header.key != label:
        raise Problem("wrong-key", f"keys: belong to key {header.key[:12]}, the path says {label[:12]}; mend the path")
    try:
        require_card(header, served.card, "keys")
    except DigestError as error:
        raise Problem("wrong-key", str(error)) from error
    _require_sizes(header, evaluation_key_blobs(served.card), "keys")
    return served


def require_query_of(header: Header, card: ProgramCard) -> None:
    """Raises Problem unless the query is one for the program, of exactly its size."""
    require_program(header, card.digest, "query")
    _require_sizes(header, query_blobs(card), "query")


def require_ciphertexts_of(blobs: Mapping[str, bytes], card: ProgramCard) -> None:
    """Raises Problem unless each ciphertext of a query is what the card asks for. blobs: name → its first bytes.

    The engine would refuse the same, but only once a job runs.
    """
    expected = heads.ciphertext_head(card.parameters, card.input_level, seeded=True)
    for name, blob in blobs.items():
        found = heads.read_head(blob)
        if found[:2] != expected[:2]:
            raise Problem(
                "foreign-file",
                f"query: {name} is no ciphertext of version {expected.version}, which this release reads; make it anew",
            )
        wrong = [
            f"{field.replace('_', ' ')} {got}, expected {wanted}"
            for field, got, wanted in zip(found._fields[2:-1], found[2:-1], expected[2:-1], strict=True)
            if got != wanted
        ]
        if found.parameters != expected.parameters:
            wrong.append("other parameters")
        if wrong:
            raise Problem(
                "wrong-sizes", f"query: {name} has {'; '.join(wrong)}; make it with this server's program.json"
            )


def _require_sizes(header: Header, expected: list[tuple[str, int]], name: str) -> None:
    try:
        require_sizes(header, expected, name)
    except FileFormatError as error:
        raise Problem("wrong-sizes", str(error)) from error
