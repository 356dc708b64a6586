"""A decrypted result → what a clinician reads: score, decision at the operating point, and each frame's share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from heclstm.circuit.ir import Floats
from heclstm.circuit.program import Description
from heclstm.errors import FileFormatError, RangeError


@dataclass(frozen=True)
class Diagnosis:
    """scores: (K,) logits. contributions: (T, K), they sum to the scores. threshold: of the operating point."""

    scores: tuple[float, ...]
    contributions: tuple[tuple[float, ...], ...]
    threshold: float
    name: str = ""

    @property
    def positive(self) -> bool:
        """The decision for the first class."""
        return self.scores[0] >= self.threshold

    @property
    def decision(self) -> str:
        return "positive" if self.positive else "negative"

    @property
    def probability(self) -> float:
        """Logistic function of the first score, as the model was trained; not calibrated beyond that."""
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, self.scores[0]))))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "scores": list(self.scores),
            "contributions": [list(row) for row in self.contributions],
            "threshold": self.threshold,
            "decision": self.decision,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Diagnosis:
        """Raises FileFormatError if a field is missing or of the wrong type."""
        try:
            return cls(
                tuple(float(score) for score in data["scores"]),
                tuple(tuple(float(value) for value in row) for row in data["contributions"]),
                float(data["threshold"]),
                str(data.get("name", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"diagnosis: a field is missing or of the wrong type ({error})") from error


def threshold_of(description: Description) -> float:
    """The score at which a program decides; zero if its model carries no operating point."""
    return float(description.purpose.operating_point.get("threshold", 0.0))


def read_result(slots: Floats, description: Description, name: str = "") -> Diagnosis:
    """slots: (slots,) of a decrypted result.

    Raises RangeError if the result cannot be one of this program: a score outside the calibrated range, or
    contributions that do not sum to their score. The wrong secret key and an overflow in the circuit look like this.
    """
    layout = description.result_layout
    values = layout.unpack(slots[None, :])[0]
    scores = values[: layout.classes]
    contributions = values[layout.classes :].reshape(layout.steps, layout.classes)
    limit = float(description.purpose.ranges.get("score", {}).get("limit", math.inf))
    if not np.isfinite(values).all() or np.abs(scores).max() > limit:
        raise RangeError(
            f"result: the score leaves the calibrated range ±{limit:.3g}; the sequence is unlike those the model was "
            "calibrated on, or the secret key is not the one it was encrypted with: do not use this result"
        )
    drift = float(np.abs(contributions.sum(axis=0) - scores).max())
    allowed = 0.01 * max(1.0, limit if math.isfinite(limit) else float(np.abs(scores).max()))
    if drift > allowed:
        raise RangeError(
            f"result: its contributions do not sum to its score within {allowed:.3g}; do not use this result"
        )
    return Diagnosis(
        tuple(scores.tolist()),
        tuple(tuple(row) for row in contributions.tolist()),
        threshold_of(description),
        name,
    )
