"""Polynomials with a coefficient for every feature, fed by an affine map that can take over a part of the work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heclstm.circuit.layout import Floats
from heclstm.compiler.expressions import Trace

# A completed square holds c1²/(4 c2) more than the polynomial does, and its noise grows with what it holds: beyond
# this excess Horner's rule serves instead.
SQUARE_EXCESS_MAX = 4.0


@dataclass(frozen=True, eq=False)
class Strand:
    """What the affine map before a polynomial computes: scale · x + shift for each feature."""

    scale: Floats
    shift: Floats


def strands(coefficients: Floats) -> tuple[list[Strand], Floats, Floats]:
    """Split p(x) = Σ c_j x^j, coefficients (F, degree + 1), between the maps around it.

    Returns the strands to compute before `evaluate`, and the (scale, shift) that the next affine map applies to its
    value v: p(x) = scale · v + shift.

    A quadratic is a completed square, and costs one product and nothing else:
        p(x) = ±u² + c0 − c1²/(4 c2)   with   u = √|c2| · (x + c1 / (2 c2)).
    Other degrees use Horner's rule; its first step, c_d x + c_{d−1}, is a second affine map of the same input.
    """
    degree = coefficients.shape[1] - 1
    one, zero = np.ones(len(coefficients)), np.zeros(len(coefficients))
    c0 = coefficients[:, 0]
    if degree == 1:
        return [Strand(coefficients[:, 1], c0)], one, zero
    if degree == 2 and _is_square(coefficients):
        c1, c2 = coefficients[:, 1], coefficients[:, 2]
        root = np.sqrt(np.abs(c2))
        return [Strand(root, root * c1 / (2 * c2))], np.sign(c2), c0 - c1**2 / (4 * c2)
    return [Strand(one, zero), Strand(coefficients[:, -1], coefficients[:, -2])], one, c0


def _is_square(coefficients: Floats) -> bool:
    c1, c2 = coefficients[:, 1], np.abs(coefficients[:, 2])
    return bool(np.all(c2 > 0) and np.all(c1**2 <= 4 * SQUARE_EXCESS_MAX * c2))


def evaluate(trace: Trace, values: list[int], coefficients: list[Floats]) -> int:
    """The polynomial's value v from its strands, for one ciphertext.

    coefficients: packed vectors of c_{d−2}, …, c_1, the additions between the products of Horner's rule.
    Costs one level for a completed square, degree − 1 levels by Horner's rule.
    """
    x, value = values[0], values[-1]
    value = trace.products(pairs=[(value, x)])
    for constant in coefficients:
        value = trace.products(pairs=[(trace.sum(value, constant=constant), x)])
    return value
