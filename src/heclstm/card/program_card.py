"""The public part of a program, which travels to the hospital, and its digest.

    H(card)  = SHA-256 of the canonical JSON of {field: SHA-256 of the canonical JSON of its value}
    digest   = SHA-256 of H(card) ‖ H(circuit)

So whoever holds the card and H(circuit) can verify the digest, and say which field of two cards differs; keys and
ciphertexts name the digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from heclstm.card import bounds
from heclstm.card.purpose import Purpose
from heclstm.card.signature import Signature
from heclstm.circuit.circuit import NeededKeys
from heclstm.circuit.layout import ImageLayout, ResultLayout
from heclstm.circuit.parameters import Parameters
from heclstm.errors import FileFormatError
from heclstm.storage.json import digest_of
from heclstm.storage.typed import Digest, plain, typed


class Card(Purpose, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a client needs to make keys, encrypt, and read a result. Raises FileFormatError for what no hospital
    should do.
    """

    parameters: Parameters
    input_layout: ImageLayout
    result_layout: ResultLayout
    input_level: int
    result_level: int
    keys: NeededKeys

    def __post_init__(self) -> None:
        super().__post_init__()
        parameters, source, target = self.parameters, self.input_layout, self.result_layout
        if {source.slots, target.slots} != {parameters.slots}:
            raise FileFormatError(f"card: its layouts do not have the {parameters.slots} slots of its parameters")
        if target.steps != source.frames:
            raise FileFormatError(f"card: takes {source.frames} frames, but its result has {target.steps}")
        if not all(point.frames is None or point.frames <= source.frames for point in self.operating_points):
            raise FileFormatError(f"card: an operating point is for more than the {source.frames} frames that it takes")
        if self.preparation is not None:
            bounds.check_preparation(self.preparation, source)
        bounds.check_levels(parameters, self.keys, self.input_level, self.result_level)
        bounds.check_noise(parameters)
        bounds.check_keys(parameters, self.keys)
        bounds.check_query(parameters, source, self.input_level)

    def to_json(self) -> dict[str, Any]:
        """The card alone, in plain JSON types: what is digested."""
        values = plain(self) | {"parameters": self.parameters.to_json(), "input_layout": self.input_layout.to_json()}
        return {name: values[name] for name in Card.__struct_fields__ if name in values}

    def field_digests(self) -> dict[str, str]:
        """Field → SHA-256 of its canonical JSON. Key files carry them, so that a changed card is told by its field."""
        return {name: digest_of(value) for name, value in self.to_json().items()}

    def with_program(self, circuit: str | None, digest: str, signature: Signature | None = None) -> ProgramCard:
        """The same card, as that of this program. circuit: H(circuit)."""
        fields = {name: getattr(self, name) for name in Card.__struct_fields__}
        return ProgramCard(**fields, circuit=circuit, digest=digest, signature=signature)

    @classmethod
    def read(cls, data: Any, name: str) -> Card:
        """From plain JSON types: exactly what `to_json` would write, and nothing beside it. Raises FileFormatError."""
        card = typed(data, Card, name)
        written = {field: digest_of(value) for field, value in data.items()}
        if differing := different(written, card.field_digests()):
            raise FileFormatError(f"{name}: {differing[0]} is not written as this release does; compile it again")
        return card


class ProgramCard(Card, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card, and the program that it belongs to.

    circuit: H(circuit); None for a program of version 1, whose digest only the whole program can verify.
    digest: of the program. signature: of the model owner over it, if it was signed.
    """

    circuit: Digest | None
    digest: Digest
    signature: Signature | None = None


def program_digest(card: Card, circuit: str) -> str:
    """circuit: H(circuit) in hex."""
    return sha256(bytes.fromhex(digest_of(card.field_digests())) + bytes.fromhex(circuit)).hexdigest()


def different(first: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Fields whose digests are not the same, or missing on one side."""
    return sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name))
