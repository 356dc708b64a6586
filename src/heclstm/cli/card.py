"""PROGRAM.JSON of a verb → the card, verified as far as can be, with what its reader should know of it on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heclstm.cli.terminal import note

if TYPE_CHECKING:
    from heclstm.card.program_card import ProgramCard
    from heclstm.card.purpose import Purpose


def read_card(program: Path, *, key: Path | None = None, trust: Path | None = None, alone: bool = True) -> ProgramCard:
    """key: a key file made for it, which tells fields that changed since. trust: the public key of the model owner.
    alone: whether nobody will read the whole program, which could be verified.

    Raises DigestError if it was altered, SignatureError if somebody else signed it.
    """
    from heclstm.card.signature import require_signature
    from heclstm.deploy.wire import key_header, require_card
    from heclstm.program.public import load_card

    header = key_header(key) if key else None
    card = load_card(program, pinned=header.card if header else None)
    if header and key:
        require_card(header, card, key)
    if trust is not None:
        require_signature(card.signature, card.digest, trust, str(program))
    if alone and card.circuit is None:
        note(f"note: {program}: is of version 1, which cannot be verified alone; ask its owner to compile it again")
    return card


def tell_warnings(purpose: Purpose) -> None:
    """What the reader of a score should know of this model, on stderr."""
    for warning in purpose.model.warnings:
        note(f"warning of the model's owner: {warning}")
    if purpose.limit("score") is None:
        note("warning: the model was never calibrated, so scores of unusual images are not refused; run `calibrate`")
