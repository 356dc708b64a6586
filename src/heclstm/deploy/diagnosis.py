"""A decrypted result → what a clinician reads: score, decision at the operating point, and each frame's share."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, structs

from heclstm.card.program_card import Card
from heclstm.card.temperature import Temperature
from heclstm.circuit.layout import Floats
from heclstm.deploy.rounding import border, rounded
from heclstm.errors import FileFormatError, InputError, RangeError, SequenceError
from heclstm.storage.typed import Finite, Logit, Name, Positive, plain, typed

Decision = Literal["positive", "negative", "not assessable", "no decision"]
Scores = Annotated[tuple[Logit, ...], Meta(min_length=1, max_length=64)]


class Diagnosis(Struct, frozen=True, forbid_unknown_fields=True):
    """scores: (K,) logits. contributions: (T, K), they sum to the scores. threshold: of the operating point for this
    number of frames, with as many decimals as a score has; None where there is none, and then `undecided` says why no
    decision is made.

    temperature, offset: turn the first score into a probability; None if the model was not calibrated for that.
    frames: how many of the contributions are those of real frames; None for all, else padding follows.
    """

    scores: Scores
    contributions: Annotated[tuple[Scores, ...], Meta(min_length=1, max_length=1 << 16)]
    threshold: Logit | None = None
    name: Name = ""
    temperature: Positive | None = None
    offset: Finite = 0.0
    frames: Annotated[int, Meta(ge=1)] | None = None
    undecided: Literal["no decision", "not assessable"] | None = None

    def __post_init__(self) -> None:
        """Raises FileFormatError."""
        if any(len(row) != len(self.scores) for row in self.contributions):
            raise FileFormatError("diagnosis: its contributions are not those of its scores")
        if self.frames is not None and self.frames > len(self.contributions):
            raise FileFormatError("diagnosis: has more real frames than contributions")
        if (self.threshold is None) != (self.undecided is not None):
            raise FileFormatError("diagnosis: expected either an operating point, or why there is no decision")

    @property
    def decided(self) -> bool:
        return self.threshold is not None

    @property
    def score(self) -> float:
        """The logit of a positive: compare it with the threshold, not with zero."""
        return self.scores[0]

    @property
    def positive(self) -> bool | None:
        """The decision for the first class; None where there is none."""
        return None if self.threshold is None else self.scores[0] >= self.threshold

    @property
    def decision(self) -> Decision:
        if self.undecided is not None:
            return self.undecided
        return "positive" if self.positive else "negative"

    @property
    def probability(self) -> float | None:
        """Of a positive, where patients are like those of the validation data; see `card.temperature`."""
        if self.temperature is None:
            return None
        return Temperature(self.temperature, self.offset).probability(self.scores[0])

    def without_decision(self) -> Diagnosis:
        """The same score, but neither a decision nor a probability, which would be one in other words."""
        return structs.replace(self.without_probability(), threshold=None, undecided="not assessable")

    def without_probability(self) -> Diagnosis:
        """The same score and decision, of images to which no figure of the model applies."""
        return structs.replace(self, temperature=None, offset=0.0)

    def to_json(self) -> dict[str, Any]:
        """In plain JSON types, with the decision, and the probability where there is one."""
        data: dict[str, Any] = plain(self) | {"decision": self.decision}
        if self.temperature is None:
            del data["temperature"], data["offset"]
        else:
            data["probability"] = self.probability
        if self.frames is None:
            del data["frames"]
        del data["undecided" if self.decided else "threshold"]
        return data


def require_name(name: str) -> None:
    """Raise InputError unless a diagnosis may carry this name."""
    try:
        typed(name, Name, "name")
    except FileFormatError as error:
        raise InputError("name: is too long or holds control characters, expected one line of text") from error


def real_frames(card: Card, frames: int | None) -> int:
    """How many frames of a sequence count: all, unless the program takes shorter sequences too.

    Then the hospital must say so: neither the server nor the result knows. Raises SequenceError.
    """
    steps = card.result_layout.steps
    if frames is None and card.padded:
        raise SequenceError(
            f"result: this program takes 1 to {steps} frames; say how many this sequence had, as `heclstm encrypt` told"
        )
    if frames is not None and not (1 <= frames <= steps if card.padded else frames == steps):
        raise SequenceError(f"result: got {frames} frames, expected {'1 to ' if card.padded else ''}{steps}")
    return steps if frames is None else frames


def read_result(
    slots: Floats, card: Card, name: str = "", frames: int | None = None, *, unrounded: bool = False
) -> Diagnosis:
    """slots: (slots,) of a decrypted result. frames: how many of the sequence's frames were real; padding gets no
    vote, here and nowhere else, since each contribution stands in the result by itself.

    Without an operating point for so many frames, the diagnosis is undecided. Scores and contributions are rounded to
    what the noise leaves (`deploy.rounding`). unrounded: to measure that noise, under keys that are thrown away.

    Raises RangeError if the result cannot be one of this program: a score outside the calibrated range, or
    contributions that do not sum to their score. The wrong secret key and an overflow in the circuit look like this.
    """
    layout, real = card.result_layout, real_frames(card, frames)
    values = layout.unpack(slots[None, :])[0]
    scores = values[: layout.classes]
    contributions = values[layout.classes :].reshape(layout.steps, layout.classes)
    drift = float(np.abs(contributions.sum(axis=0) - scores).max())
    if real < layout.steps:
        contributions = np.where(np.arange(layout.steps)[:, None] < real, contributions, 0.0)
        scores = contributions.sum(axis=0)
    calibrated = card.limit("score")
    limit = math.inf if calibrated is None else calibrated
    if not np.isfinite(values).all() or not np.abs(scores).max() <= limit:
        raise RangeError(
            f"result: the score leaves the calibrated range ±{limit:.3g}; the sequence is unlike those the model was "
            "calibrated on, or the secret key is not the one it was encrypted with: do not use this result"
        )
    allowed = 0.01 * max(1.0, float(np.abs(scores).max()) if calibrated is None else limit)
    if drift > allowed:
        raise RangeError(
            f"result: its contributions do not sum to its score within {allowed:.3g}; do not use this result"
        )
    scale = card.temperature
    point = card.operating_point(real) if card.can_assess(real) else None
    threshold = None if point is None else point.threshold
    if not unrounded:
        scores, contributions = rounded(scores, card), rounded(contributions, card)
        threshold = None if threshold is None else border(threshold, card)
    if point is None and card.operating_points:
        scale = None  # a probability would be a decision in other words
    return Diagnosis(
        scores=tuple(scores.tolist()),
        contributions=tuple(tuple(row) for row in contributions.tolist()),
        threshold=threshold,
        name=name,
        temperature=None if scale is None else scale.temperature,
        offset=0.0 if scale is None else scale.offset,
        frames=real if real < layout.steps else None,
        undecided=None if point else "not assessable" if card.operating_points else "no decision",
    )
