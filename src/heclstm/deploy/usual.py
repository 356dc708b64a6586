"""Whether a hospital's images look like those of training: asked in clear, before anything is encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from heclstm.card.purpose import Purpose
from heclstm.data.sequence import ImageSequence
from heclstm.data.statistics import statistics
from heclstm.errors import EnvelopeError

SHOWN = 3  # what is unusual, in a message: so many tell the kind of difference


def require_usual(purpose: Purpose, sequence: ImageSequence, override: str = "") -> tuple[str, ...]:
    """What is unusual about prepared images, in words; nothing where the program has no envelope.

    override: why they are to be encrypted nevertheless. Raises EnvelopeError without it.
    """
    if purpose.envelope is UNSET:
        return ()
    outside = purpose.envelope.outside(statistics(sequence, purpose.preparation))
    if outside and not override:
        raise EnvelopeError(
            f"{sequence.name}: unlike the images that the model was trained on: {first_of(outside)}. Look at them; a "
            "score would mean nothing. Whoever knows better adds --override envelope=REASON, and the report says so"
        )
    return outside


def envelope_facts(purpose: Purpose, sequence: ImageSequence, override: str = "") -> dict[str, Any]:
    """What a case says of it: its fields envelope, outside and override."""
    if purpose.envelope is UNSET:
        return {}
    outside = purpose.envelope.outside(statistics(sequence, purpose.preparation))
    return {"envelope": "outside", "outside": outside, "override": override} if outside else {"envelope": "inside"}


def first_of(outside: Sequence[str]) -> str:
    """The first of what is unusual."""
    more = len(outside) - SHOWN
    return "; ".join([*outside[:SHOWN], *([f"and {more} more"] if more > 0 else [])])
