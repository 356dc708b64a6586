"""program.json → the card, verified as far as can be, with what its reader should know of it."""

from __future__ import annotations

from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.card.signature import require_signature
from heclstm.deploy.wire import key_header, require_card
from heclstm.program.public import load_card
from heclstm.storage.source import Source, name_of
from heclstm.usecases.events import SILENT, Events


def read_card(
    program: Source,
    *,
    key: Source | None = None,
    trust: Source | None = None,
    alone: bool = True,
    events: Events = SILENT,
) -> ProgramCard:
    """program: a program folder, its program.json, or the bytes of one. key: a key file (or its bytes) made for it,
    which tells fields that changed since. trust: the public key of the model owner. alone: whether nobody will read the
    whole program, which could be verified.

    Raises DigestError if it was altered, SignatureError if somebody else signed it.
    """
    header = key_header(key) if key else None
    card = load_card(program, pinned=header.card if header else None)
    if header and key:
        require_card(header, card, name_of(key))
    if trust is not None:
        require_signature(card.signature, card.digest, trust, name_of(program))
    if alone and card.circuit is None:
        what = "is of version 1, which cannot be verified alone; ask its owner to compile it again"
        events.note(f"note: {name_of(program)}: {what}")
    return card


def tell_warnings(purpose: Purpose, events: Events) -> None:
    """What the reader of a score should know of this model, each once."""
    for warning in purpose.warnings:
        events.note(f"warning: {warning}")
