"""The compiled circuit on clear slots equals the model, for models of every shape and every kind of part."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from heclstm.compiler.compile import Options, compile_circuit
from heclstm.model.cells import CELLS
from heclstm.model.graph import Polynomial
from heclstm.model.reference import forward
from heclstm.model.weights import Model
from random_configs import model_configs
from random_models import random_frames, random_model

# What the issue promises of float64, for values near one: 2^-53 · (terms of a sum, at most 2^10) · (20 layers)
# is 2^-38 = 4e-12, so that 1e-9 leaves room for cancellation and for nothing else.
ATOL = 1e-9
# Gates of degree two and three feed on their own output: some random models run away, and say nothing.
MAGNITUDE_MAX = 1e3


def changed(model, **arrays):
    return Model(model.config, {**model.arrays, **arrays})


def curved(model, curvature, rng):
    """`model` with other leading coefficients of its activations."""
    arrays = {}
    for name in [node.coefficients for node in model.config.graph.nodes if isinstance(node, Polynomial)]:
        coefficients = model.arrays[name].copy()
        last = coefficients[:, -1]
        match curvature:
            case "tiny":  # the square cannot be completed: Horner's rule
                last[rng.integers(len(last))] = 1e-7
            case "none":
                last[:] = 0.0
            case "negative":
                last[:] = -np.abs(last)
        arrays[name] = coefficients
    return changed(model, **arrays)


def options(ring, ring_degree):
    return Options(ring=ring, ring_degree=ring_degree, special_count=4, security="INSECURE_TEST")


def assert_equal_to_the_model(run_clear, model, chosen, seed=0):
    """Score and contributions within ATOL of the largest value on the way; all other slots exactly zero."""
    frames = random_frames(model.config, 2, seed)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = forward(model, frames)
    magnitude = np.max([1.0, *(np.abs(values).max() for values in expected.values())])
    assume(magnitude < MAGNITUDE_MAX)
    program = compile_circuit(model, chosen)
    found = run_clear(program, frames)
    wanted = np.concatenate([expected["score"], expected["contributions"].reshape(2, -1)], axis=1)
    used = wanted.shape[1]
    assert used == program.result_layout.features
    worst = np.abs(found[:, :used] - wanted).max()
    assert worst <= ATOL * magnitude, f"worst error {worst:.3g} at a magnitude of {magnitude:.3g}"
    assert not found[:, used:].any(), "a slot that the result does not use is not zero"
    return program


@pytest.mark.parametrize("cell", CELLS)
@given(
    st.data(),
    st.sampled_from(["usual", "usual", "tiny", "none", "negative"]),
    st.sampled_from([("conjugate_invariant", 128), ("conjugate_invariant", 1024), ("standard", 512)]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50)
def test_the_compiled_circuit_equals_the_model(run_clear, cell, data, curvature, ring, seed):
    """128 slots hold no whole sequence: several ciphertexts; 1024 hold most with copies."""
    config = data.draw(model_configs(cell))
    model = curved(random_model(config, seed), curvature, np.random.default_rng(seed))
    assert_equal_to_the_model(run_clear, model, options(*ring), seed)


@pytest.mark.parametrize("cell", CELLS)
@given(st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=20)
def test_weights_that_are_zero_make_a_program_too(run_clear, cell, seed, data):
    """Pruned layers leave matrices without entries, and gate polynomials of a lower degree than configured."""
    model = random_model(data.draw(model_configs(cell)), seed)
    names = sorted(set(model.arrays) - {"weighted_unit.alpha"})
    zero = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=3))
    model = changed(model, **{name: np.zeros_like(model.arrays[name]) for name in zero})
    assert_equal_to_the_model(run_clear, model, options("conjugate_invariant", 512), seed)
