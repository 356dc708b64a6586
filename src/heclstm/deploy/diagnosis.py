"""A decrypted result → what a clinician reads: score, decision at the operating point, and each frame's share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from heclstm.card.program_card import ProgramCard
from heclstm.circuit.layout import Floats
from heclstm.errors import FileFormatError, RangeError, SequenceError


@dataclass(frozen=True)
class Diagnosis:
    """scores: (K,) logits. contributions: (T, K), they sum to the scores. threshold: of the operating point.

    temperature, offset: turn the first score into a probability; None if the model was not calibrated for that.
    frames: how many of the contributions are those of real frames; None for all, else padding follows.
    """

    scores: tuple[float, ...]
    contributions: tuple[tuple[float, ...], ...]
    threshold: float
    name: str = ""
    temperature: float | None = None
    offset: float = 0.0
    frames: int | None = None

    @property
    def positive(self) -> bool:
        """The decision for the first class."""
        return self.scores[0] >= self.threshold

    @property
    def decision(self) -> str:
        return "positive" if self.positive else "negative"

    @property
    def probability(self) -> float | None:
        """Of a positive, where patients are like those of the validation data; see `model.temperature`."""
        if self.temperature is None:
            return None
        logit = self.scores[0] / self.temperature + self.offset
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))

    def to_json(self) -> dict[str, Any]:
        data = {
            "name": self.name,
            "scores": list(self.scores),
            "contributions": [list(row) for row in self.contributions],
            "threshold": self.threshold,
            "decision": self.decision,
        }
        if self.temperature is not None:
            data |= {"temperature": self.temperature, "offset": self.offset, "probability": self.probability}
        if self.frames is not None:
            data["frames"] = self.frames
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Diagnosis:
        """Raises FileFormatError if a field is missing or of the wrong type."""
        try:
            return cls(
                tuple(float(score) for score in data["scores"]),
                tuple(tuple(float(value) for value in row) for row in data["contributions"]),
                float(data["threshold"]),
                str(data.get("name", "")),
                *_temperature(data),
                None if data.get("frames") is None else int(data["frames"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"diagnosis: a field is missing or of the wrong type ({error})") from error


def _temperature(data: dict[str, Any]) -> tuple[float | None, float]:
    """(temperature, offset) of a purpose or a diagnosis; (None, 0) if it carries none."""
    if "temperature" not in data:
        return None, 0.0
    temperature, offset = float(data["temperature"]), float(data.get("offset", 0.0))
    if not (0 < temperature < math.inf and math.isfinite(offset)):
        raise FileFormatError(f"temperature: got {temperature} with offset {offset}, expected a number above 0")
    return temperature, offset


def threshold_of(card: ProgramCard) -> float:
    """The score at which a program decides; zero if its model carries no operating point."""
    return float(card.purpose.operating_point.get("threshold", 0.0))


def real_frames(card: ProgramCard, frames: int | None) -> int:
    """How many frames of a sequence count: all, unless the program takes shorter sequences too.

    Then the hospital must say so: neither the server nor the result knows. Raises SequenceError.
    """
    steps = card.result_layout.steps
    padded = card.purpose.preparation.get("length", "exact") != "exact"
    if frames is None and padded:
        raise SequenceError(
            f"result: this program takes 1 to {steps} frames; say how many this sequence had, as `heclstm encrypt` told"
        )
    if frames is not None and not (1 <= frames <= steps if padded else frames == steps):
        raise SequenceError(f"result: got {frames} frames, expected {'1 to ' if padded else ''}{steps}")
    return steps if frames is None else frames


def read_result(slots: Floats, card: ProgramCard, name: str = "", frames: int | None = None) -> Diagnosis:
    """slots: (slots,) of a decrypted result. frames: how many of the sequence's frames were real; padding gets no
    vote, here and nowhere else, since each contribution stands in the result by itself.

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
    limit = float(card.purpose.ranges.get("score", {}).get("limit", math.inf))
    if not np.isfinite(values).all() or not np.abs(scores).max() <= limit:
        raise RangeError(
            f"result: the score leaves the calibrated range ±{limit:.3g}; the sequence is unlike those the model was "
            "calibrated on, or the secret key is not the one it was encrypted with: do not use this result"
        )
    allowed = 0.01 * max(1.0, limit if math.isfinite(limit) else float(np.abs(scores).max()))
    if drift > allowed:
        raise RangeError(
            f"result: its contributions do not sum to its score within {allowed:.3g}; do not use this result"
        )
    return Diagnosis(
        tuple(scores.tolist()),
        tuple(tuple(row) for row in contributions.tolist()),
        threshold_of(card),
        name,
        *_temperature(card.purpose.temperature),
        real if real < layout.steps else None,
    )
