"""How far values of healthy inputs reach: from few patients, and not at the mercy of one of them.

1.25 times the largest value seen refuses one healthy patient of a hundred after forty, and lets a single blow-up set
the limit for all. Here the largest fifth of the patients is taken as a generalized Pareto tail (peaks over a threshold;
Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, chapter 4). Shape and scale are averaged over
a grid by their posterior, with a prior on the shape that lies between an exponential and a heavy tail, and the limit
stands where the chance that a new patient passes it has fallen to one in a thousand. Of the largest one (or
two in a thousand) it counts only that it is no smaller than the next.
"""

from __future__ import annotations

import math

import numpy as np

from heclstm.model.graph import Array

REFUSED = 1e-3  # of healthy inputs
FEWEST = 20  # patients; from fewer no tail can be told
TAIL, LEAST = 0.2, 10  # the share of patients in the tail, and how many at least
SPARED = 0.002  # the share of patients who may have blown up: one, up to five hundred
SHAPES = np.linspace(0.0, 0.8, 17)[:, None]
SHAPE, SPREAD = 0.1, 0.15  # the prior's middle and deviation
SCALES = np.exp(np.linspace(-1.5, 2.0, 71))[None]  # of the mean excess
DOUBLINGS, HALVINGS = 30, 60


def robust_limit(largest: Array, refused: float = REFUSED) -> float:
    """largest: (patients,), the largest absolute value of each, FEWEST at least; what is not finite has blown up."""
    values = np.sort(np.where(np.isfinite(largest), largest, np.finfo(float).max))
    count = len(values)
    tail = min(count - 1, max(LEAST, round(TAIL * count)))
    spared = min(math.ceil(SPARED * count), tail - 4)
    threshold = values[count - tail - 1]
    seen, known = np.split(values[count - tail :] - threshold, [tail - spared])[0], count - spared - 1
    if not seen[-1] > 0:  # all alike
        return float(values[known])
    mean_excess = (seen.sum() + spared * seen[-1]) / tail
    scales = mean_excess * SCALES

    def log_survival(excess: float) -> Array:
        """log P(Z > excess) on the grid of shapes and scales."""
        with np.errstate(divide="ignore", invalid="ignore"):
            heavy = -np.log1p(SHAPES * excess / scales) / SHAPES
        found: Array = np.where(SHAPES > 0, heavy, -excess / scales)
        return found

    fit = -0.5 * ((SHAPES - SHAPE) / SPREAD) ** 2 + spared * log_survival(float(seen[-1]))
    for excess in seen:
        fit = fit - np.log(scales) + log_survival(float(excess)) - np.log1p(SHAPES * excess / scales)
    weight = np.exp(fit - fit.max())
    weight /= weight.sum()
    rate = (tail + 0.5) / (count + 1)

    def passes(excess: float) -> bool:
        return rate * float((weight * np.exp(log_survival(excess))).sum()) > refused

    low, high = 0.0, float(mean_excess)
    for _ in range(DOUBLINGS):
        if not passes(high):
            break
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return float(max(threshold + high, values[known]))
