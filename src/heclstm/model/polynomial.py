"""Polynomials in place of functions: least-squares fits that carry their interval and their measured error."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.polynomial import legendre, polynomial
from numpy.typing import NDArray

from heclstm.errors import ModelError, RangeError

Array = NDArray[np.float64]
QUADRATURE_NODES = 512
ERROR_SAMPLES = 4001

# ReLU's Hermite expansion to degree 2 under a standard normal input (AESPA, arXiv 2201.06699):
# 1/√(2π) + z/2 + (z² − 1)/(2√(2π)), collected by powers of z.
# Odd terms above z vanish, so degree 3 starts with 0.
HERMITE_RELU = (1 / (2 * math.sqrt(2 * math.pi)), 0.5, 1 / (2 * math.sqrt(2 * math.pi)))


@dataclass(frozen=True)
class Fit:
    """p(x) = Σ coefficients[j]·x^j, right only inside `interval`; the errors were measured there."""

    coefficients: tuple[float, ...]
    interval: tuple[float, float]
    max_error: float
    rms_error: float

    def __call__(self, x: Array) -> Array:  # p(x)
        return evaluate(np.array(self.coefficients), x)

    def check(self, x: Array, layer: str) -> None:
        """Raise RangeError if an input leaves the interval."""
        low, high = self.interval
        if np.any(x < low) or np.any(x > high):
            raise RangeError(
                f"{layer}: input leaves the fitted interval [{low:g}, {high:g}]; "
                "fit on a wider interval, or train with a stronger range penalty"
            )


def fit(
    function: Callable[[Array], Array],
    interval: tuple[float, float],
    degree: int,
    *,
    parity: Literal["none", "even", "odd"] = "none",
) -> Fit:
    """Continuous least squares over the interval; with a parity, only the even or odd powers are used.

    The integrals are Gauss-Legendre sums, and the basis is Legendre's, orthogonal on the interval: each
    coefficient is one projection, well conditioned at every degree.
    """
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ModelError(f"fit: got interval [{low}, {high}], expected two finite ends, the lower first")
    if parity != "none" and low != -high:
        raise ModelError(
            f"fit: got interval [{low}, {high}], expected one that is symmetric about 0 for parity {parity!r}"
        )
    if degree < 0 or (parity == "odd" and degree < 1):
        raise ModelError(f"fit: got degree {degree}, expected at least {1 if parity == 'odd' else 0}")
    half, middle = (high - low) / 2, (high + low) / 2
    nodes, weights = legendre.leggauss(QUADRATURE_NODES)
    target = function(middle + half * nodes)
    powers = [j for j in range(degree + 1) if parity == "none" or j % 2 == (parity == "odd")]
    projection = np.zeros(degree + 1)
    for j in powers:
        projection[j] = (2 * j + 1) / 2 * np.sum(weights * target * legendre.legval(nodes, np.eye(degree + 1)[j]))
    # from Legendre on [−1, 1] to powers of x: substitute (x − middle) / half by Horner's rule
    coefficients = np.zeros(1)
    for value in legendre.leg2poly(projection)[::-1]:
        coefficients = polynomial.polyadd(polynomial.polymul(coefficients, [-middle / half, 1 / half]), [value])
    coefficients = np.pad(coefficients, (0, degree + 1))[: degree + 1]
    if parity != "none":
        coefficients[[j for j in range(degree + 1) if j not in powers]] = 0.0
    x = np.linspace(low, high, ERROR_SAMPLES)
    error = np.abs(evaluate(coefficients, x) - function(x))
    return Fit(tuple(map(float, coefficients)), (low, high), float(error.max()), float(np.sqrt(np.mean(error**2))))


def evaluate(coefficients: Array, x: Array) -> Array:
    """Horner's rule; coefficients (…, degree + 1) with ascending powers, where … broadcasts against x."""
    result = np.zeros_like(x) + coefficients[..., -1]
    for j in range(coefficients.shape[-1] - 2, -1, -1):
        result = result * x + coefficients[..., j]
    return result


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), written with tanh so that no x overflows."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


@cache
def sigmoid_start(degree: int) -> Array:
    """Coefficients (degree + 1,) of the sigmoid on [−4, 4]."""
    found = np.array(fit(lambda x: sigmoid(x) - 0.5, (-4.0, 4.0), degree, parity="odd").coefficients)
    found[0] = 0.5
    return _constant(found)


@cache
def cubic_tanh() -> Array:
    """Coefficients (4,) of tanh on [−3, 3]."""
    return _constant(np.array(fit(np.tanh, (-3.0, 3.0), 3, parity="odd").coefficients))


def _constant(array: Array) -> Array:
    array.setflags(write=False)
    return array


IDENTITY = _constant(np.array([0.0, 1.0]))
