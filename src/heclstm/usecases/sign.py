"""A model owner's signature of programs, and the pair of keys for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from heclstm.card import signature
from heclstm.errors import FileFormatError, InputError
from heclstm.program.files import load_program
from heclstm.program.public import NAME, load_card, save_card
from heclstm.storage.atomic import new_files, save_file
from heclstm.storage.source import Source
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.private_files import warn_if_others_read


@dataclass(frozen=True)
class Signed:
    """program: its path. signed_by: the public key in hex."""

    program: Path
    digest: str
    signed_by: str

    def to_json(self) -> dict[str, Any]:
        return {"program": str(self.program), "digest": self.digest, "signed_by": self.signed_by}


@dataclass(frozen=True)
class SigningKey:
    """Both PEM files. key: the public one in hex."""

    private: Path
    public: Path
    key: str

    def to_json(self) -> dict[str, Any]:
        return {"private": str(self.private), "public": str(self.public), "key": self.key}


def sign(program: Path, key: Source, *, events: Events = SILENT) -> Signed:
    """Sign a program in its program.json. program: its folder, which is verified, or that file alone. key: private."""
    folder = program if program.is_dir() else program.parent
    whole = (folder / "circuit.json").exists()
    card = load_program(folder).card if whole else load_card(program)
    if card.circuit is None:
        raise FileFormatError(f"{program}: is of version 1, which cannot be signed; compile it again")
    warn_if_others_read(key, events)
    made = signature.sign(card.digest, key)
    save_card(structs.replace(card, signature=made), folder / NAME if program.is_dir() else program)
    return Signed(program, card.digest, made.key)


def new_signing_key(output: Path) -> SigningKey:
    """Write a private key (mode 0600), and the public one beside it with the ending .pub; both or none."""
    public = output.with_suffix(".pub")
    if public == output:
        raise InputError(f"{output}: is the name of the public key, expected another ending, such as .pem")
    pair = signature.new_pair()
    with new_files(output.parent, replace=False) as partial:
        save_file(partial / output.name, pair.private, 0o600)
        save_file(partial / public.name, pair.public)
    return SigningKey(output, public, pair.fingerprint)
