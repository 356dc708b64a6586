"""A measured value and the interval around it; that of a share. Pure Python: a hospital's client works it out too."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist

from heclstm.errors import ModelError

CONFIDENCE = 0.95


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

    @property
    def percent(self) -> str:
        """Of a share: 95.5 % (78.2 to 99.2)."""
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


def wilson(count: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """A share with Wilson's score interval (Journal of the American Statistical Association 22:209, 1927)."""
    if not 0 <= count <= total or total == 0:
        raise ModelError(f"share: got {count} of {total}, expected a count of at least one")
    share, z2 = count / total, quantile(confidence) ** 2
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    low = 0.0 if count == 0 else center - half
    high = 1.0 if count == total else center + half
    return Interval(share, low, high)


def quantile(confidence: float) -> float:
    """How many standard deviations a normal value stays within, with this probability."""
    if not 0 < confidence < 1:
        raise ModelError(f"interval: got a confidence of {confidence}, expected more than 0 and less than 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)
