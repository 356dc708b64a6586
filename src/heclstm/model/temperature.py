"""Scores → probabilities: p = 1 / (1 + exp(−(score / temperature + offset))), fitted on validation data.

The temperature corrects scores that are too sure of themselves, or not sure enough. The offset undoes what class
weights did: they train as if both outcomes were equally frequent (offset ≈ log of positives over negatives). The
score, its operating point and every ranking stay as they are.

J. Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods",
1999, whose smoothed targets keep the fit finite where scores separate the classes. C. Guo et al., ICML 2017.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from heclstm.card.interval import Interval, wilson
from heclstm.card.temperature import Temperature
from heclstm.errors import ModelError
from heclstm.model.metrics import split_by_label

Array = NDArray[np.float64]


def probabilities(scores: Array, temperature: float = 1.0, offset: float = 0.0) -> Array:
    """The probability of a positive for each score."""
    return np.asarray(expit(scores / temperature + offset))


def fit_temperature(scores: Array, labels: NDArray[np.int64], fitted_on: str = "validation") -> Temperature:
    """Minimize the negative log-likelihood over temperature and offset.

    Raises ModelError if a higher score does not mean a likelier positive: no temperature mends that.
    """
    positives, negatives = map(len, split_by_label(scores, labels))
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def objective(parameters: Array) -> tuple[float, Array]:
        logits = parameters[0] * scores + parameters[1]
        residual = expit(logits) - targets
        loss = float(np.mean(np.logaddexp(0, logits) - targets * logits))
        return loss, np.array([np.mean(residual * scores), np.mean(residual)])

    start = np.array([1.0, np.log(positives / negatives)])
    slope, offset = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    if not slope > 0:
        raise ModelError(
            f"temperature: on {fitted_on} data a higher score does not mean a likelier positive; train the model again"
        )
    temperature = float(1 / slope)
    return Temperature(
        temperature,
        float(offset),
        log_loss(scores, labels),
        log_loss(scores, labels, temperature, float(offset)),
        positives,
        negatives,
        fitted_on,
    )


def log_loss(scores: Array, labels: NDArray[np.int64], temperature: float = 1.0, offset: float = 0.0) -> float:
    """Mean negative log-likelihood of the labels."""
    logits = scores / temperature + offset
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def reliability(chances: Array, labels: NDArray[np.int64], bins: int = 8) -> list[tuple[float, Interval, int]]:
    """(mean probability, share of positives, sequences) of groups of equal size, from the least likely up."""
    order = np.argsort(chances, kind="stable")
    groups = [rows for rows in np.array_split(order, min(bins, len(order))) if len(rows)]
    return [(float(chances[g].mean()), wilson(int(labels[g].sum()), len(g)), len(g)) for g in groups]


def calibration_error(chances: Array, labels: NDArray[np.int64], bins: int = 8) -> float:
    """Expected calibration error: mean distance between probability and share of positives, over such groups."""
    groups = reliability(chances, labels, bins)
    return sum(count * abs(mean - share.value) for mean, share, count in groups) / len(labels)
