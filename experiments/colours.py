"""How far colours alone go: histograms and logistic regression, in folds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heclstm.data.datasets import Part


def histograms(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """fields (N, 3, H, W) → shares of 16 intervals of each colour and of the gradient, means and deviations."""

    def one(field: NDArray[np.float64]) -> NDArray[np.float64]:
        steep = np.hypot(*np.gradient(field.mean(0)))
        parts = [np.histogram(colour, 16, (0, 1))[0] / colour.size for colour in field]
        parts += [np.histogram(steep, 16, (0, 0.3))[0] / steep.size, field.mean((1, 2)), field.std((1, 2))]
        return np.concatenate(parts)

    return np.stack([one(field) for field in images / 255])


def colours(parts: Sequence[Part], ridge: float = 10.0) -> list[NDArray[np.float64]]:
    """The mean score of a sequence's fields, by logistic regression with balanced classes (Newton's method)."""
    known = [histograms(np.asarray(part.images).reshape(-1, *np.shape(part.images)[2:])) for part in parts]
    scores = []
    for fold, part in enumerate(parts):
        others = [k for k in range(len(parts)) if k != fold]
        count = np.shape(part.images)[1]
        labels = np.concatenate([np.repeat(parts[k].labels, count) for k in others])
        train = np.concatenate([known[k] for k in others])
        middle, spread = train.mean(0), train.std(0) + 1e-6
        x, asked = (np.c_[(each - middle) / spread, np.ones(len(each))] for each in (train, known[fold]))
        weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
        penalty, found = np.diag([ridge] * train.shape[1] + [1e-9]), np.zeros(x.shape[1])
        for _ in range(50):
            chances = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
            curvature = (x.T * (weight * chances * (1 - chances))) @ x + penalty
            found -= np.linalg.solve(curvature, x.T @ (weight * (chances - labels)) + penalty @ found)
        scores.append((asked @ found).reshape(-1, count).mean(1))
    return scores
