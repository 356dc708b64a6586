"""How sure an AUC is: its 95 % interval (DeLong). NumPy only. That of a share is `card.interval`."""

import numpy as np
from numpy.typing import NDArray

from heclstm.card.interval import CONFIDENCE, Interval, quantile

Array = NDArray[np.float64]


def midranks(values: Array) -> Array:
    """Ranks from 1, equal values sharing the mean of theirs. (scipy.stats has it too, but takes a second to import.)"""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[where])


def delong(positives: Array, negatives: Array, confidence: float = CONFIDENCE) -> Interval:
    """AUC of the scores of both classes, with the interval of DeLong et al. (Biometrics 44:837, 1988), by mid-ranks.

    With fewer than two positives or two negatives there is no variance and the interval is [0, 1]. Classes that
    scores separate perfectly have no variance either: their interval has no width, whatever the sample.
    The mid-ranks are those of Sun and Xu, IEEE Signal Processing Letters 21:1389, 2014.
    """

    m, n = len(positives), len(negatives)
    ranks = midranks(np.concatenate([positives, negatives]))
    # The share of the other class that a sample beats, for every positive and for every negative; ties count half.
    beats = (ranks[:m] - midranks(positives)) / n
    beaten = 1 - (ranks[m:] - midranks(negatives)) / m
    area = float(beats.mean())
    if min(m, n) < 2:
        return Interval(area, 0.0, 1.0)
    half = quantile(confidence) * float(np.sqrt(beats.var(ddof=1) / m + beaten.var(ddof=1) / n))
    return Interval(area, max(0.0, area - half), min(1.0, area + half))
