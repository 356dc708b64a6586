"""program.json: the card, H(circuit), the digest over both, and a signature. A hospital verifies it alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.json import schema

from heclstm.card.program_card import Card, ProgramCard, different, program_digest
from heclstm.card.signature import Signature
from heclstm.errors import DigestError, FileFormatError
from heclstm.program.version1 import card_of_version_1
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json
from heclstm.storage.source import Source, name_of
from heclstm.storage.typed import Digest, plain, typed

FORMAT, VERSION = "heclstm-program", 2
NAME = "program.json"


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """program.json of version 2."""

    format: Literal["heclstm-program"]
    version: Literal[2]
    card: Card
    circuit: Digest
    digest: Digest
    signature: Signature | None = None


def json_schema() -> dict[str, Any]:
    """JSON Schema of program.json. Beyond it, a reader compares fields with each other and verifies the digest."""
    found: dict[str, Any] = json.loads(json.dumps(schema(Document)))  # lists for tuples, as in JSON
    return found


def save_card(card: ProgramCard, path: Path) -> None:
    """Write program.json. Raises OutputError."""
    data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "card": card.to_json()}
    data |= {"circuit": card.circuit, "digest": card.digest}
    if card.signature:
        data["signature"] = plain(card.signature)
    save_file(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def load_card(source: Source, *, pinned: Mapping[str, str] | None = None) -> ProgramCard:
    """The public part: a program folder, its program.json, or the bytes of one.

    pinned: digests of a card's fields, as key files carry them; a card that was altered is then told by its fields.
    Raises FileFormatError, DigestError or ParameterError.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        source = Path(source) / NAME
    return card_of(read_json(source, SMALL), name_of(source), pinned=pinned)


def card_of(public: dict[str, Any], name: str, *, pinned: Mapping[str, str] | None = None) -> ProgramCard:
    """public: what program.json holds. Raises as `load_card`."""
    require_format(public, name, versions=(1, VERSION))
    if public["version"] == 1:
        return card_of_version_1(public, name)
    document = typed(public, Document, name)
    card = Card.read(public["card"], f"{name}: card")
    if (found := program_digest(card, document.circuit)) != document.digest:
        changed = different(card.field_digests(), pinned) if pinned else []
        what = f"its {', '.join(changed)} changed since these keys were made" if changed else "it was altered"
        raise DigestError(
            f"{name}: has the digest {found[:12]}, but says {document.digest[:12]}: {what}; "
            "get it again from the model owner"
        )
    return card.with_program(document.circuit, document.digest, document.signature)


def require_format(data: dict[str, Any], name: str, versions: tuple[int, ...]) -> None:
    """Raise FileFormatError unless this is a file of a program, of a version that this release reads."""
    found, version = data.get("format"), data.get("version")
    if found != FORMAT:
        raise FileFormatError(f"{name}: is no {FORMAT} (format: {str(found)[:40]!r})")
    if type(version) is not int or version not in versions:
        known = " and ".join(map(str, versions))
        raise FileFormatError(f"{name}: version {str(version)[:40]}, this release reads version {known}")
