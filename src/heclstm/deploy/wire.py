"""What belongs to what: does a key file or message fit a program, a key, a query, before any of its blobs is read."""

from __future__ import annotations

from pathlib import Path

from heclstm.card.program_card import ProgramCard, different
from heclstm.errors import DigestError, FileFormatError
from heclstm.storage.container import Header, Kind, Message, read_header, received
from heclstm.storage.source import Source

__all__ = ["Header", "Kind", "Message", "read_header", "received"]


def key_header(source: Source) -> Header | None:
    """The header of a key file, which tells the card that it was made for; None if it is none that can be read."""
    try:
        return read_header(source, Kind.SECRET_KEY, Kind.EVALUATION_KEYS)
    except FileFormatError:
        return None  # who reads the keys says why


def require_card(header: Header, card: ProgramCard, name: Path | str) -> None:
    """Raise DigestError unless the container was made for this program, and, where it says so, for this very card."""
    changed = different(header.card, card.field_digests()) if header.card else []
    if changed and header.program == card.digest:
        raise DigestError(
            f"{name}: since this {header.kind.title} was made, the card of program {card.digest[:12]} has changed: "
            f"{', '.join(changed)}; use the program.json that the keys were made with"
        )
    if header.program != card.digest:
        what = f" ({', '.join(changed)} changed)" if changed else ""
        raise _other_program(header, card.digest, name, what)


def require_program(header: Header, digest: str, name: Path | str) -> None:
    """Raise DigestError unless the container was made for the program with this digest."""
    if header.program != digest:
        raise _other_program(header, digest, name)


def _other_program(header: Header, digest: str, name: Path | str, what: str = "") -> DigestError:
    return DigestError(
        f"{name}: this {header.kind.title} was made for program {header.program[:12]}, expected {digest[:12]}{what}; "
        "make it again with the program.json of the server"
    )


def require_key(header: Header, label: str, name: Path | str) -> None:
    """Raise DigestError unless the container belongs to the secret key with this label."""
    if header.key != label:
        raise DigestError(
            f"{name}: this {header.kind.title} belongs to key {header.key[:12]}, expected {label[:12]}; "
            "use files made with one secret key"
        )


def require_query(header: Header, query: Header, name: Path | str) -> None:
    """Raise DigestError unless the result answers this query."""
    if header.query != query.query:
        raise DigestError(
            f"{name}: answers query {header.query[:12]}, expected {query.query[:12]}; it belongs to another sequence"
        )


def require_sizes(header: Header, expected: list[tuple[str, int]], name: Path | str) -> None:
    """Raise FileFormatError unless the blobs are exactly these, before any of them is read."""
    if list(header.blobs) != expected:
        names = [each for each, _ in expected]
        raise FileFormatError(
            f"{name}: holds {len(header.blobs)} blobs of {sum(size for _, size in header.blobs)} bytes, expected "
            f"{len(expected)} of {sum(size for _, size in expected)} ({names[0]} … {names[-1]})"
        )
