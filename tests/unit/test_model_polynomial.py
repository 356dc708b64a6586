"""Fits against known answers, and their errors against a fresh measurement."""

import math

import numpy as np
import pytest

from heclstm.errors import ModelError, RangeError
from heclstm.model.polynomial import HERMITE_RELU, IDENTITY, cubic_tanh, evaluate, fit, sigmoid, sigmoid_start


def relu(x):
    return np.maximum(x, 0.0)


@pytest.mark.parametrize(
    ("function", "half", "parity", "coefficients", "error"),
    [
        (sigmoid, 4.0, "none", (0.5, 0.153156), 0.131),
        (sigmoid, 4.0, "none", (0.5, 0.216574, 0.0, -0.006599), 0.038),
        (sigmoid, 6.0, "none", (0.5, 0.180556, 0.0, -0.003089), 0.081),
        (np.tanh, 3.0, "odd", (0.0, 0.722223, 0.0, -0.049421), 0.163),
        (np.tanh, 4.0, "odd", (0.0, 0.600268, 0.0, -0.025457), 0.228),
    ],
)
def test_fits_are_the_published_least_squares_ones(function, half, parity, coefficients, error):
    """The known answers were fitted on a grid, ours with integrals: they agree to 3e-4, the errors to 1e-3."""
    found = fit(function, (-half, half), len(coefficients) - 1, parity=parity)
    assert found.coefficients == pytest.approx(coefficients, abs=3e-4)
    assert found.max_error == pytest.approx(error, abs=1e-3)
    assert 0 < found.rms_error < found.max_error


def test_a_fit_of_a_polynomial_is_that_polynomial():
    found = fit(lambda x: 1 - 2 * x + 0.5 * x**3, (1.0, 4.0), 3)
    assert found.coefficients == pytest.approx((1, -2, 0, 0.5), abs=1e-10)
    assert found.max_error < 1e-10


def test_a_constant_function_fits_at_every_degree():
    assert fit(lambda x: np.full_like(x, 2.5), (0.0, 1.0), 4).coefficients == pytest.approx((2.5, 0, 0, 0, 0), abs=1e-9)


@pytest.mark.parametrize("parity", ["odd", "even"])
def test_parity_leaves_the_other_powers_exactly_zero(parity):
    found = fit(np.exp, (-2.0, 2.0), 6, parity=parity)
    first_absent = 0 if parity == "odd" else 1
    assert all(value == 0.0 for value in found.coefficients[first_absent::2])


def test_no_line_is_nearer_to_sigmoid_in_the_mean():
    """Least squares: moving either coefficient makes the mean square error larger."""
    x = np.linspace(-4, 4, 20001)
    best = np.array(fit(sigmoid, (-4.0, 4.0), 1).coefficients)
    smallest = np.mean((evaluate(best, x) - sigmoid(x)) ** 2)
    for change in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        assert np.mean((evaluate(best + change, x) - sigmoid(x)) ** 2) > smallest


def test_the_hermite_start_is_the_projection_of_relu():
    """E[ReLU·He_j] / j! under a standard normal input, integrated numerically, in powers of z."""
    z = np.linspace(-12, 12, 200001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    c0, c1, c2 = (np.sum(relu(z) * basis * density) for basis in (np.ones_like(z), z, (z**2 - 1) / 2))
    assert (c0 - c2, c1, c2) == pytest.approx(HERMITE_RELU, abs=1e-6)
    assert (c0 - c2, c1, c2) == pytest.approx((0.199471, 0.5, 0.199471), abs=1e-5)


def test_gates_start_as_the_sigmoid_and_candidates_as_tanh():
    assert sigmoid_start(1) == pytest.approx([0.5, 0.1532], abs=1e-4)
    assert sigmoid_start(2)[2] == 0  # an odd function, but for its constant
    assert cubic_tanh() == pytest.approx([0, 0.7224, 0, -0.0495], abs=1e-4)
    assert np.array_equal(IDENTITY, [0, 1])


def test_starts_are_made_once_and_cannot_be_changed():
    for start in (IDENTITY, cubic_tanh(), sigmoid_start(3)):
        with pytest.raises(ValueError, match="read-only"):
            start[0] = 1.0
    assert sigmoid_start(3) is sigmoid_start(3)


def test_evaluate_broadcasts_one_polynomial_per_channel():
    coefficients = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    x = np.array([[2.0, -1.0], [3.0, 0.5]])
    assert np.array_equal(evaluate(coefficients[:, None, :], x), [[17.0, 2.0], [9.0, 0.25]])


def test_sigmoid_does_not_overflow():
    assert np.array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])


def test_leaving_the_interval_raises():
    found = fit(sigmoid, (-4.0, 4.0), 3)
    found.check(np.array([-4.0, 4.0]), "lstm.gates")
    with pytest.raises(RangeError, match=r"lstm.gates: input leaves the fitted interval \[-4, 4\]"):
        found.check(np.array([0.0, 4.1]), "lstm.gates")
    assert found(np.array([0.0])) == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("interval", "degree", "parity", "message"),
    [
        ((1.0, 1.0), 1, "none", r"got interval \[1.0, 1.0\]"),
        ((0.0, math.inf), 1, "none", "two finite ends"),
        ((-1.0, 2.0), 1, "odd", "symmetric about 0"),
        ((-1.0, 1.0), -1, "none", "got degree -1, expected at least 0"),
        ((-1.0, 1.0), 0, "odd", "got degree 0, expected at least 1"),
    ],
)
def test_impossible_fits_are_refused(interval, degree, parity, message):
    with pytest.raises(ModelError, match=message):
        fit(np.tanh, interval, degree, parity=parity)
