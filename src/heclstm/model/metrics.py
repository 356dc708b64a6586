"""How good scores are, and the decisions that an operating point makes of them. NumPy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.interval import Interval, wilson
from heclstm.errors import ModelError
from heclstm.model.intervals import delong

Array = NDArray[np.float64]


def area_under_curve(scores: Array, labels: NDArray[np.int64]) -> float:
    """The chance that a random positive scores above a random negative (ROC AUC); ties count one half."""
    positives, negatives = split_by_label(scores, labels)
    ordered = np.sort(negatives)
    below, through = np.searchsorted(ordered, positives, "left"), np.searchsorted(ordered, positives, "right")
    return float((below + through).sum() / (2 * len(positives) * len(negatives)))


def roc_curve(scores: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """(share of false alarms, sensitivity) at every threshold, from the highest, at which both are 0, to the lowest."""
    positives, negatives = split_by_label(scores, labels)
    thresholds = np.unique(scores)[::-1]
    found = 1 - np.searchsorted(np.sort(positives), thresholds, "left") / len(positives)
    alarms = 1 - np.searchsorted(np.sort(negatives), thresholds, "left") / len(negatives)
    return np.concatenate([[0.0], alarms]), np.concatenate([[0.0], found])


def rates(scores: Array, labels: NDArray[np.int64], threshold: float) -> tuple[float, float]:
    """(sensitivity, specificity) of the decision score ≥ threshold."""
    positives, negatives = split_by_label(scores, labels)
    return float(np.mean(positives >= threshold)), float(np.mean(negatives < threshold))


@dataclass(frozen=True)
class Measures:
    """What decisions are worth: counts, and shares with their 95 % intervals."""

    true_positives: int
    missed: int
    true_negatives: int
    false_alarms: int
    auc: Interval

    @property
    def total(self) -> int:
        return self.true_positives + self.missed + self.true_negatives + self.false_alarms

    @property
    def sensitivity(self) -> Interval:
        return wilson(self.true_positives, self.true_positives + self.missed)

    @property
    def missed_rate(self) -> Interval:
        """The share of positives that nobody was told about: 1 − sensitivity."""
        return wilson(self.missed, self.true_positives + self.missed)

    @property
    def specificity(self) -> Interval:
        return wilson(self.true_negatives, self.true_negatives + self.false_alarms)

    @property
    def accuracy(self) -> Interval:
        return wilson(self.true_positives + self.true_negatives, self.total)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; the shares stand beside the counts that they follow from."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return {**counts, **{name: getattr(self, name).to_json() for name in SHARES}}


COUNTS = ("true_positives", "missed", "true_negatives", "false_alarms")
SHARES = ("auc", "sensitivity", "missed_rate", "specificity", "accuracy")


def measure(scores: Array, labels: NDArray[np.int64], threshold: float) -> Measures:
    """AUC of the scores, and the outcomes of the decision score ≥ threshold."""
    positives, negatives = split_by_label(scores, labels)
    found, alarms = int((positives >= threshold).sum()), int((negatives >= threshold).sum())
    return Measures(found, len(positives) - found, len(negatives) - alarms, alarms, delong(positives, negatives))


def by_patient(
    scores: Array, labels: NDArray[np.int64], patients: NDArray[Any]
) -> tuple[Array, NDArray[np.int64], NDArray[Any]]:
    """One score, label and name for each patient: the mean of his sequences' scores, positive if one of them is.

    Patients come in the order of their first sequence.
    """
    if not len(scores) == len(labels) == len(patients):
        raise ModelError(
            f"patients: got {len(scores)} scores, {len(labels)} labels, {len(patients)} patients, expected equal counts"
        )
    names, first, member = np.unique(patients, return_index=True, return_inverse=True)
    means = np.bincount(member, weights=scores) / np.bincount(member)
    positive = np.bincount(member, weights=labels) > 0
    order = np.argsort(first)
    return means[order], positive[order].astype(np.int64), names[order]


def split_by_label(scores: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """(scores of positives, scores of negatives). Raises ModelError unless both occur, and no other label."""
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ModelError(f"metrics: got scores {scores.shape} and labels {labels.shape}, expected two equal lengths")
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if len(positives) + len(negatives) != len(labels) or not len(positives) or not len(negatives):
        raise ModelError(
            f"metrics: got {len(positives)} labels 1 and {len(negatives)} labels 0 of {len(labels)}, "
            "expected both and no other"
        )
    return positives, negatives
