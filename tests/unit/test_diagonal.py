"""The diagonal cell by its definition, by what it costs, and by what it cannot do: run away.

What holds for every cell stands in test_cells.py.
"""

import numpy as np
import pytest

from counting import totals
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.diagonal.memory import forgetting, weights
from heclstm.model.cells.lstm import LstmConfig
from random_models import random_model, small_config

TEST = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")
ENCODER, PROJECTION, VOTE = 4, 1, 1  # levels: two quadratic blocks, W·s, the weighted unit and the vote


def compiled(frames, cell):
    return compile_circuit(random_model(small_config(frames=frames, cell=cell), seed=1), TEST)


def depth(program):
    return program.input_level - program.result_level


# ── what it computes ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", [-3.0, -0.1, 0.0, 0.5, 40.0])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_mean_is_a_weighted_mean(rate, frames):
    """Straight from the definition: frame s of t has weight r^(t − s), r = exp(−rate)."""
    found = weights("mean", np.array([rate]), frames)[0]
    for t in range(frames):
        powers = np.exp(-rate * np.arange(t, -1, -1.0))
        np.testing.assert_allclose(found[t, : t + 1], powers / powers.sum(), atol=1e-14)
        assert not found[t, t + 1 :].any()


@pytest.mark.parametrize("rate", [-3.0, 0.0, 5.0])
def test_the_leaky_state_forgets_by_powers(rate):
    kept = 1 / (1 + np.exp(-rate))
    found = weights("leaky", np.array([rate]), 4)[0]
    expected = [[(1 - kept) * kept ** (t - s) if s <= t else 0 for s in range(4)] for t in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_with_rate_zero_the_last_state_is_the_plain_mean():
    np.testing.assert_allclose(weights("mean", np.zeros(2), 5)[:, -1], 0.2, atol=1e-15)


@pytest.mark.parametrize("memory", ["mean", "leaky"])
@pytest.mark.parametrize("rate", [-1e3, -700.0, -1.0, 0.0, 1.0, 700.0, 1e3])
def test_no_rate_makes_it_run_away(memory, rate):
    """By construction: forget factors in [0, 1], weights that are not negative, rows with a sum of at most one."""
    kept, made = forgetting(memory, np.array([rate]), 64), weights(memory, np.array([rate]), 64)
    assert np.isfinite(made).all()
    assert kept.min() >= 0
    assert kept.max() <= 1
    assert made.min() >= 0
    assert made.sum(axis=2).max() <= 1 + 64 * 2.0**-52


def test_the_difference_of_two_units_tells_the_direction_of_time():
    """What a mean over frames cannot see: late − early is the course, and turned round it changes its sign."""
    late, early = weights("mean", np.array([0.1, -0.1]), 10)[:, -1]
    rising = np.linspace(0, 1, 10)
    assert (late - early) @ rising > 0.1
    assert (late - early) @ rising[::-1] == pytest.approx(-((late - early) @ rising), abs=1e-12)


# ── what it costs ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("memory", ["mean", "leaky"])
@pytest.mark.parametrize(("gates", "own"), [("none", 0), ("input", 1), ("output", 2), ("both", 3)])
@pytest.mark.parametrize("degree", [1, 2])
def test_levels_do_not_depend_on_the_number_of_frames(memory, gates, own, degree):
    """i ⊙ g one, the state one and o ⊙ c one; without an output gate the vote takes the state over."""
    gate = degree - 1 if gates in ("input", "both") else 0
    late = max(0, degree - 1 - own + 1) if gates == "output" else 0  # o runs beside the state
    for frames in (1, 2, 9):
        program = compiled(frames, DiagonalConfig(4, memory, gates, degree))
        assert depth(program) == ENCODER + PROJECTION + gate + max(own, late) + VOTE


def test_it_is_as_deep_for_64_frames_as_an_lstm_for_none():
    config = small_config(frames=64, height=4, width=4, cell=DiagonalConfig(4))
    program = compile_circuit(random_model(config, seed=1), Options(ring_degree=2048, special_count=4,
                                                                    security="INSECURE_TEST"))  # fmt: skip
    assert depth(program) == ENCODER + PROJECTION + VOTE
    assert depth(compiled(1, LstmConfig(4))) == ENCODER + PROJECTION + 2 + VOTE


@pytest.mark.parametrize("frames", [1, 3, 9])
@pytest.mark.parametrize(("gates", "products"), [("none", 0), ("input", 1), ("output", 1), ("both", 2)])
def test_products(frames, gates, products):
    """One for each block's square, and one for each gate, whatever the number of frames."""
    found = totals(compiled(frames, DiagonalConfig(4, gates=gates)))
    assert found["products"] == found["relinearizations"] == 2 + products


def test_without_an_output_gate_the_state_costs_no_rotation():
    """The same maps as with gates that are applied to nothing: projection, weighted unit, vote."""
    assert totals(compiled(5, DiagonalConfig(4)))["linear_transforms"] == 2 + 3
    assert totals(compiled(5, DiagonalConfig(4, gates="output")))["linear_transforms"] == 2 + 4
