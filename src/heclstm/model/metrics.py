"""How good scores are, and the operating point that turns a score into a decision. NumPy only."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import ModelError

Array = NDArray[np.float64]


def area_under_curve(scores: Array, labels: NDArray[np.int64]) -> float:
    """The chance that a random positive scores above a random negative (ROC AUC); ties count one half."""
    positives, negatives = _split(scores, labels)
    ordered = np.sort(negatives)
    below, through = np.searchsorted(ordered, positives, "left"), np.searchsorted(ordered, positives, "right")
    return float((below + through).sum() / (2 * len(positives) * len(negatives)))


@dataclass(frozen=True)
class OperatingPoint:
    """A score of `threshold` or more counts as positive.

    Both rates were measured where the threshold was chosen.
    """

    threshold: float
    wanted_sensitivity: float
    sensitivity: float
    specificity: float
    positives: int
    negatives: int
    chosen_on: str = "validation"

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types, as it stands in a model's metadata."""
        return asdict(self)


def rates(scores: Array, labels: NDArray[np.int64], threshold: float) -> tuple[float, float]:
    """(sensitivity, specificity) of the decision score ≥ threshold."""
    positives, negatives = _split(scores, labels)
    return float(np.mean(positives >= threshold)), float(np.mean(negatives < threshold))


def choose_operating_point(
    scores: Array, labels: NDArray[np.int64], wanted_sensitivity: float, chosen_on: str = "validation"
) -> OperatingPoint:
    """The highest threshold that misses no more positives than allowed.

    It lies halfway to the next lower score, so that a small error of an encrypted score does not flip a
    decision.
    """
    if not 0 < wanted_sensitivity <= 1:
        raise ModelError(f"operating point: got sensitivity {wanted_sensitivity}, expected more than 0 and at most 1")
    positives, negatives = _split(scores, labels)
    needed = int(np.ceil(wanted_sensitivity * len(positives) - 1e-9))
    lowest = np.sort(positives)[::-1][needed - 1]
    lower = scores[scores < lowest]
    threshold = float(lowest if lower.size == 0 else (lowest + lower.max()) / 2)
    return OperatingPoint(
        threshold,
        wanted_sensitivity,
        *rates(scores, labels, threshold),
        len(positives),
        len(negatives),
        chosen_on,
    )


def _split(scores: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ModelError(f"metrics: got scores {scores.shape} and labels {labels.shape}, expected two equal lengths")
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if len(positives) + len(negatives) != len(labels) or not len(positives) or not len(negatives):
        raise ModelError(
            f"metrics: got {len(positives)} labels 1 and {len(negatives)} labels 0 of {len(labels)}, "
            "expected both and no other"
        )
    return positives, negatives
