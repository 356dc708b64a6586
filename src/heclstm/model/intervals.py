"""How sure a figure is: 95 % intervals of an AUC (DeLong) and of a share (Wilson). NumPy and SciPy only."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from heclstm.errors import ModelError

Array = NDArray[np.float64]
CONFIDENCE = 0.95


def midranks(values: Array) -> Array:
    """Ranks from 1, equal values sharing the mean of theirs. (scipy.stats has it too, but takes a second to import.)"""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[where])


@dataclass(frozen=True)
class Interval:
    """A measured value and the interval around it."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """A dictionary of plain JSON types; `Interval(**…)` is its inverse."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


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
    half = _quantile(confidence) * float(np.sqrt(beats.var(ddof=1) / m + beaten.var(ddof=1) / n))
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def wilson(count: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """A share with Wilson's score interval (Journal of the American Statistical Association 22:209, 1927)."""
    if not 0 <= count <= total or total == 0:
        raise ModelError(f"share: got {count} of {total}, expected a count of at least one")
    share, z2 = count / total, _quantile(confidence) ** 2
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = np.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    low = 0.0 if count == 0 else float(center - half)
    high = 1.0 if count == total else float(center + half)
    return Interval(share, low, high)


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ModelError(f"interval: got a confidence of {confidence}, expected more than 0 and less than 1")
    return float(ndtri((1 + confidence) / 2))
