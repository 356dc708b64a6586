"""Calibration measures, and check_ranges refuses what lies outside."""

import numpy as np
import pytest

from heclstm.compiler.reach import reach
from heclstm.errors import ModelError, RangeError, SequenceError
from heclstm.model.calibrate import MARGIN, calibrate, check_ranges, margins, outside
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.limits import robust_limit
from heclstm.model.reference import forward
from heclstm.model.weights import Model, expected_shapes

CONFIG = ModelConfig(3, 1, 6, 6, (BlockConfig(4), BlockConfig(3, pool=(2, 2))), LstmConfig(5))


@pytest.fixture
def model():
    rng = np.random.default_rng(1)
    arrays = {name: 0.3 * rng.normal(size=shape) for name, shape in expected_shapes(CONFIG).items()}
    arrays["weighted_unit.alpha"] = np.array([0.4])
    return Model(CONFIG, arrays)


@pytest.fixture
def frames():
    return np.random.default_rng(2).random((7, 3, 1, 6, 6))


def test_limits_are_the_training_bound_or_the_margin(model, frames):
    ranges = calibrate(model, frames).metadata["ranges"]
    values = forward(model, frames)
    assert {"blocks.0", "blocks.1", "lstm.gates", "lstm.candidate", "lstm.cell", "score"} <= set(ranges)
    assert ranges["blocks.0"]["max_abs"] == pytest.approx(np.abs(values["blocks.0"]).max())
    assert ranges["blocks.0"]["limit"] == pytest.approx(max(4.0, MARGIN * ranges["blocks.0"]["max_abs"]))
    assert ranges["score"]["limit"] == pytest.approx(MARGIN * np.abs(values["score"]).max())
    candidate = values["lstm.gates"][..., 10:15]
    assert ranges["lstm.candidate"]["max_abs"] == pytest.approx(np.abs(candidate).max())


def test_calibration_data_is_inside_and_far_data_is_not(model, frames):
    calibrated = calibrate(model, frames)
    check_ranges(calibrated, forward(calibrated, frames))
    assert max(margins(calibrated, forward(calibrated, frames)).values()) <= 1 / MARGIN + 1e-12
    far = frames.copy()
    far[2] *= 100
    with pytest.raises(RangeError, match=r"blocks.0: 1 of 7 sequences leave the calibrated interval \[-"):
        check_ranges(calibrated, forward(calibrated, far))


def test_nan_counts_as_outside(model, frames):
    calibrated = calibrate(model, frames)
    with pytest.raises(RangeError, match="score: 2 of 2 sequences"):
        check_ranges(calibrated, {"score": np.full((2, 1), np.nan)})


def test_a_model_that_was_never_calibrated_says_so(model, frames):
    with pytest.raises(ModelError, match="never calibrated; run `heclstm calibrate`"):
        check_ranges(model, forward(model, frames))


def test_calibration_needs_sequences_of_the_right_shape(model, frames):
    with pytest.raises(ModelError, match="got 0 sequences"):
        calibrate(model, frames[:0])
    with pytest.raises(SequenceError, match=r"got shape \(7, 2, 1, 6, 6\), expected \(sequences, 3, 1, 6, 6\)"):
        calibrate(model, frames[:, :2])


def test_a_model_that_overflows_cannot_be_calibrated(model, frames):
    arrays = {**model.arrays, "blocks.0.weight": model.arrays["blocks.0.weight"] * 1e200}
    with pytest.raises(RangeError, match=r"blocks.0.output: overflows"):
        calibrate(Model(CONFIG, arrays), frames)


# ── limits from many sequences ─────────────────────────────────────────────────────────────────────────────

DRAWS = {
    "half normal": lambda rng, n: np.abs(rng.standard_normal(n)),
    "square": lambda rng, n: rng.standard_normal(n) ** 2,
    "largest of 100": lambda rng, n: np.abs(rng.standard_normal((n, 100))).max(1),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("count", [25, 300])
def test_a_limit_refuses_one_healthy_input_in_a_thousand_at_most(name, count):
    """On the average of ten calibrations; what was done before refuses up to 23 after 25 patients."""
    rng = np.random.default_rng(count)
    fresh = DRAWS[name](rng, 200_000)
    limits = [robust_limit(DRAWS[name](rng, count)) for _ in range(10)]
    assert np.mean([np.mean(fresh > limit) for limit in limits]) <= 1.5e-3  # and its own spread, of ten
    assert max(limits) < 10 * fresh.max()


@pytest.mark.parametrize("blown", [1e6, np.inf, np.nan])
def test_one_patient_does_not_set_the_limit(blown):
    values = np.abs(np.random.default_rng(0).standard_normal(60))
    other = values.copy()
    other[values.argmax()] = blown
    assert robust_limit(other) == robust_limit(values)


def test_values_that_are_all_alike_have_their_own_limit():
    assert robust_limit(np.full(30, 2.5)) == 2.5


def test_a_blown_up_sequence_lies_outside_of_the_limits_that_it_was_calibrated_with(model):
    """It took 1.25 times its own value for a limit before, so that nothing was ever outside again."""
    frames = np.random.default_rng(2).random((40, 3, 1, 6, 6))
    frames[7] *= 50
    calibrated = calibrate(model, frames)
    values = forward(calibrated, frames)
    ranges = calibrated.metadata["ranges"]
    assert ranges["score"]["limit"] < ranges["score"]["max_abs"]
    assert outside(calibrated, values)["score"] == 1
    with pytest.raises(RangeError, match="1 of 40 sequences leave"):
        check_ranges(calibrated, values)


def test_where_nothing_can_blow_up_all_that_was_seen_is_inside():
    """The largest of forty healthy scores is no reason to refuse it, if a bound holds for every input."""
    config = ModelConfig(3, 1, 6, 6, (BlockConfig(4),), DiagonalConfig(5))
    rng = np.random.default_rng(1)
    arrays = {name: 0.3 * rng.normal(size=shape) for name, shape in expected_shapes(config).items()}
    model = Model(config, {**arrays, "weighted_unit.alpha": np.array([0.4])})
    frames = 0.02 * rng.random((40, 3, 1, 6, 6))
    frames[3] = 1.0  # unlike all others
    calibrated = calibrate(model, frames)
    ranges, bounds = calibrated.metadata["ranges"], reach(model)
    for name, bound in bounds.items():
        assert ranges[name]["max_abs"] <= ranges[name]["limit"]
        assert (
            ranges[name]["limit"]
            <= max(bound, {"blocks.0": 4.0, "diagonal.candidate": 2.25, "diagonal.hidden": 2.25}.get(name, 0)) + 1e-9
        )
    check_ranges(calibrated, forward(calibrated, frames))
