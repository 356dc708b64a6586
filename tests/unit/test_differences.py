"""Channels of differences between frames: what they hold, what they cost, where they are refused."""

import json

import numpy as np
import pytest

from counting import totals
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.compiler.reach import reach
from heclstm.errors import ModelError
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.differences.node import KINDS, over_frames
from heclstm.model.reference import forward
from heclstm.model.weights import Model
from random_models import random_frames, random_model, small_config
from torch_reference import assert_equal_to_the_reference

TEST = Options(ring_degree=512, special_count=4, security="INSECURE_TEST")
X = np.array([1.0, 4.0, 2.0, 9.0])


def with_differences(*kinds, **changes):
    return small_config(differences=kinds, **changes)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mean", X - 4),
        ("first", [0, 3, 1, 8]),
        ("previous", [0, 3, -2, 7]),
        # slope: Σ (t − 1.5) x_t / 5 = (−1.5 − 2 + 1 + 13.5) / 5 = 2.2 a frame, times 3
        ("trend", [6.6] * 4),
    ],
)
def test_by_hand(kind, expected):
    np.testing.assert_allclose(over_frames(kind, 4) @ X, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_what_all_frames_have_in_common_does_not_show(kind):
    np.testing.assert_allclose(over_frames(kind, 5) @ np.full(5, 0.7), 0, atol=1e-15)
    assert not over_frames(kind, 1).any()


def test_the_trend_is_the_least_squares_slope():
    x = np.random.default_rng(0).random(7)
    np.testing.assert_allclose(over_frames("trend", 7) @ x, 6 * np.polyfit(np.arange(7), x, 1)[0], atol=1e-12)


@pytest.mark.parametrize("kinds", [("mean",), ("first", "previous"), ("trend",), KINDS], ids=str)
@pytest.mark.parametrize("cell", [DiagonalConfig(3), LstmConfig(2)], ids=["diagonal", "lstm"])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_the_compiled_circuit_is_the_reference(kinds, cell, frames, run_clear):
    """2^-53 of values near one and some 2^10 terms a sum: 1e-12, and room for cancellation."""
    config = with_differences(*kinds, frames=frames, cell=cell, height=5, width=6)
    model = random_model(config, seed=frames)
    images = random_frames(config, 2, seed=1)
    expected = forward(model, images)
    found = run_clear(compile_circuit(model, TEST), images)
    wanted = np.concatenate([expected["score"], expected["contributions"].reshape(2, -1)], axis=1)
    magnitude = max(1.0, *(np.abs(value).max() for value in expected.values()))
    assert np.abs(found[:, : wanted.shape[1]] - wanted).max() <= 1e-9 * magnitude
    assert not found[:, wanted.shape[1] :].any()


@pytest.mark.parametrize("ring_degree", [128, 2048])
def test_in_several_ciphertexts_and_in_copies(ring_degree, run_clear):
    config = with_differences("mean", "trend", cell=DiagonalConfig(3))
    model, images = random_model(config, seed=5), random_frames(config, 1, seed=1)
    options = Options(ring_degree=ring_degree, special_count=4, security="INSECURE_TEST")
    found = run_clear(compile_circuit(model, options), images)
    assert found[0, 0] == pytest.approx(forward(model, images)["score"][0, 0], abs=1e-9)


@pytest.mark.parametrize("kinds", [("mean",), KINDS], ids=str)
def test_in_torch_they_are_the_reference(kinds):
    assert_equal_to_the_reference(with_differences(*kinds, cell=DiagonalConfig(3)))


@pytest.mark.parametrize("kinds", [("mean",), KINDS], ids=str)
def test_they_cost_no_level_and_no_product(kinds):
    plain, other = (
        totals(compile_circuit(random_model(config, seed=0), TEST))
        for config in (small_config(cell=DiagonalConfig(3)), with_differences(*kinds, cell=DiagonalConfig(3)))
    )
    for name in ("levels", "linear_transforms", "products", "rescales"):
        assert plain[name] == other[name]


def test_a_bound_counts_the_whole_course():
    """x − x̄ of three frames reaches 2/3 at most, and its negative too: a 1×1 kernel shows it."""
    block = BlockConfig(1, (1, 1), (1, 1), (0, 0))
    config = ModelConfig(3, 1, 1, 1, (block,), DiagonalConfig(1), differences=("mean",))
    arrays = dict(random_model(config, seed=0).arrays)
    arrays |= {"differences.gain": np.ones(2), "differences.offset": np.zeros(2)}
    arrays |= {"blocks.0.weight": np.array([0.0, 3.0]).reshape(1, 2, 1, 1), "blocks.0.bias": np.zeros(1)}
    assert reach(Model(config, arrays))["blocks.0"] == pytest.approx(2.0, rel=1e-12)


def test_json_brings_them_back_and_leaves_others_alone():
    config = with_differences("mean", "trend")
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert "differences" not in small_config().to_json()


@pytest.mark.parametrize("wrong", [["slope"], ["mean", "mean"], "mean", 3, [["mean"]]])
def test_unknown_ones_are_refused(wrong):
    with pytest.raises(ModelError, match="differences: got .* expected a list of some of mean, first, previous, trend"):
        small_config(differences=wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_those_that_need_all_frames_are_refused_where_sequences_are_padded(kind):
    config = with_differences(kind)
    if kind in ("first", "previous"):
        config.require_causal("here")
    else:
        with pytest.raises(ModelError, match=f"here: .* the differences {kind} depend on all frames"):
            config.require_causal("here")
