"""Program folders of version 1: their program.json, and the digest over all three files."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from numpy.typing import NDArray

from heclstm.card.program_card import Card, ProgramCard
from heclstm.card.version1 import purpose_of_version_1
from heclstm.program.encoding import add_arrays
from heclstm.storage.typed import Digest, plain, typed


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    """Of the layouts, only their kind is looked at here: the rest becomes that of a card."""

    format: Literal["heclstm-program"]
    version: Literal[1]
    parameters: dict[str, Any]
    input_layout: dict[str, Any]
    result_layout: dict[str, Any]
    input_level: Annotated[int, Meta(ge=0)]
    result_level: Annotated[int, Meta(ge=0)]
    keys: dict[str, Any]
    purpose: dict[str, Any]
    digest: Digest


def card_of_version_1(public: dict[str, Any], name: str) -> ProgramCard:
    """public: program.json. Its digest is what it says: only `digest_of_version_1` can verify it."""
    old = typed(public, _Document, name)
    source, target = dict(old.input_layout), dict(old.result_layout)
    typed(source.pop("kind", None), Literal["image"], f"{name}: input_layout: kind")  # type: ignore[arg-type]
    typed(target.pop("kind", None), Literal["result"], f"{name}: result_layout: kind")  # type: ignore[arg-type]
    fields = {
        "parameters": old.parameters,
        "input_layout": source,
        "result_layout": target,
        "input_level": old.input_level,
        "result_level": old.result_level,
        "keys": old.keys,
    }
    card = Card.read({**fields, **plain(purpose_of_version_1(old.purpose, name))}, name)
    return card.with_program(None, old.digest)


def digest_of_version_1(public: dict[str, Any], circuit: dict[str, Any], arrays: list[NDArray[Any]]) -> str:
    """public: program.json; circuit: circuit.json."""
    digest = hashlib.sha256()
    for part in ({name: value for name, value in public.items() if name != "digest"}, circuit):
        digest.update(json.dumps(part, sort_keys=True, allow_nan=False).encode() + b"\n")
    add_arrays(digest, arrays)
    return digest.hexdigest()
