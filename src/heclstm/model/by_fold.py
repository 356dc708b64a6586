"""What several models are worth, each on the part that it was not trained on. NumPy and SciPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heclstm.card.interval import CONFIDENCE, Interval, quantile
from heclstm.errors import ModelError
from heclstm.model.intervals import Array, midranks
from heclstm.model.metrics import split_by_label

Outcomes = tuple[Array, NDArray[np.int64]]  # scores, labels
LARGEST_VARIANCE = 0.25  # of an AUC, where a sample is too small to tell


def auc_by_fold(folds: Sequence[Outcomes], confidence: float = CONFIDENCE) -> Interval:
    """The mean of the folds' AUC, weighted by their pairs of a positive and a negative, after DeLong's variance.

    Only cases of one fold are compared: scores of different models have different scales, and pooling them measures
    how alike the models are as well. Folds with one outcome have no pair. Raises ModelError if none has both.
    """
    pairs, areas, variances = [], [], []
    for scores, labels in folds:
        if len(np.unique(labels)) < 2:
            continue
        positives, negatives = split_by_label(scores, labels)
        m, n = len(positives), len(negatives)
        ranks = midranks(np.concatenate([positives, negatives]))
        beats = (ranks[:m] - midranks(positives)) / n
        beaten = 1 - (ranks[m:] - midranks(negatives)) / m
        pairs.append(m * n)
        areas.append(float(beats.mean()))
        known = min(m, n) >= 2
        variances.append(float(beats.var(ddof=1) / m + beaten.var(ddof=1) / n) if known else LARGEST_VARIANCE)
    if not pairs:
        raise ModelError("folds: got one outcome in each of them, expected both in at least one")
    weights = np.array(pairs) / sum(pairs)
    area, half = float(weights @ areas), quantile(confidence) * math.sqrt(weights**2 @ variances)
    return Interval(area, max(0.0, area - half), min(1.0, area + half))
