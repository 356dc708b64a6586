"""Intervals that hold for every input: affine maps and polynomials of boxes, exactly; products of intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heclstm.model.graph import Array
from heclstm.model.polynomial import evaluate

Interval = tuple[Array, Array]  # lowest, highest
FrameMap = Callable[[Array, Array], Interval]  # (weight (O, D), bias (O,)) → what it makes of each frame's features


@dataclass(frozen=True, eq=False)
class Linear:
    """h_t = Σ_s memory[:, t, s] ⊙ (weight · x_s + bias): a cell without products. memory: (H, T, T)."""

    memory: Array
    weight: Array
    bias: Array


def of_polynomial(coefficients: Array, low: Array, high: Array) -> Interval:
    """The range of Σ c_j x^j over [low, high], attained. coefficients (…, degree + 1), degree 3 at most; ascending."""
    c = np.broadcast_to(coefficients, (*low.shape, coefficients.shape[-1]))
    c = np.concatenate([c, np.zeros((*low.shape, max(0, 4 - c.shape[-1])))], axis=-1)
    ends = [evaluate(c, low), evaluate(c, high)]
    lowest, highest = np.minimum(*ends), np.maximum(*ends)
    # where the slope c1 + 2 c2 x + 3 c3 x² is zero
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(c[..., 2] ** 2 - 3 * c[..., 3] * c[..., 1])
        # −b ± √… without cancellation, and the one root of a parabola's slope where c3 is zero
        q = -(c[..., 2] + np.where(c[..., 2] < 0, -root, root))
        turns = [q / (3 * c[..., 3]), c[..., 1] / q]
    for turn in turns:
        inside = np.isfinite(turn) & (turn > low) & (turn < high)
        value = evaluate(c, np.where(inside, turn, low))
        lowest, highest = np.minimum(lowest, value), np.maximum(highest, value)
    return lowest, highest


def of_product(a: Interval, b: Interval) -> Interval:
    """Of two numbers that need not go together."""
    corners = [x * y for x in a for y in b]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def of_affine(weight: Array, bias: Array, low: Array, high: Array) -> Interval:
    """weight (O, D), bias (O,), low, high (…, D) → (…, O); attained, each by a corner of the box."""
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    return low @ positive.T + high @ negative.T + bias, high @ positive.T + low @ negative.T + bias


def largest(interval: Interval) -> float:
    """The largest absolute value in it."""
    return float(max(np.abs(end).max() for end in interval))
