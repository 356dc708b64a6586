"""Trials inside training folds: who sees whom, what is generated, and what their tables say."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments import trials  # noqa: E402  torch is optional
from experiments.fields_ablations import averaged, courses  # noqa: E402
from experiments.inner import inner_splits, together  # noqa: E402
from experiments.methods import METHODS  # noqa: E402

from heclstm.data.datasets import Part  # noqa: E402
from heclstm.data.datasets.visual_fields import grid  # noqa: E402
from heclstm.model.cells.torch_module import RECURRENT_GAIN  # noqa: E402
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig  # noqa: E402


def part(name, count, mask=None):
    images = np.full((count, 2, 1, 8, 9), 0.5, np.float32)
    return Part(images, np.arange(count) % 2, tuple(f"{name}{row}" for row in range(count)), mask=mask)


def test_the_fold_that_is_scored_is_not_trained_with():
    parts = [part("a", 8), part("b", 10), part("c", 12)]
    splits = inner_splits(parts, 1)
    assert splits.train.patients == parts[0].patients + parts[2].patients
    assert splits.test is parts[1]
    assert sorted(splits.validation.labels.tolist()) == [0] * 4 + [1] * 4


def test_masks_are_kept_together():
    masks = [np.array([[True, False]] * 4), np.array([[True, True]] * 6)]
    both = together([part("a", 4, masks[0]), part("b", 6, masks[1])])
    assert both.mask is not None
    np.testing.assert_array_equal(both.mask.sum(1), [1] * 4 + [2] * 6)


def test_generated_courses_fall_only_where_they_are_to_get_worse():
    """Stable series of 0.5 and one that falls by 0.05 a visit, at one point: so do, 0.5 to 1.5 times, all that are made
    from it. What lies outside of the picture stays 0."""
    visits, (row, column) = 10, grid()[0]
    images = np.zeros((6, visits, 1, 8, 9), np.float32)
    images[..., grid()[:, 0], grid()[:, 1]] = 0.5
    falling = 0.05 * (np.arange(visits) - 4.5)
    images[0, :, 0, row, column] -= falling
    made = courses(Part(images, np.array([1, 0, 0, 0, 0, 0])), 40, 0)
    times = np.arange(visits) - 4.5
    slopes = np.einsum("t,nthw->nhw", times / (times @ times), np.asarray(made.images)[:, :, 0])
    assert np.abs(slopes[made.labels == 0]).max() < 1e-6
    worse = slopes[made.labels == 1]
    assert worse[:, row, column].max() < -0.02
    worse[:, row, column] = 0
    assert np.abs(worse).max() < 1e-6
    assert np.asarray(made.images)[:, :, 0, 0, 0].max() == 0


def test_averaged_points_keep_the_mean_of_each_visit():
    images = np.random.default_rng(0).random((3, 2, 1, 8, 9)).astype(np.float32)
    changed = np.asarray(averaged(Part(images, np.arange(3) % 2)).images)[..., grid()[:, 0], grid()[:, 1]]
    expected = images[..., grid()[:, 0], grid()[:, 1]].mean(-1)
    np.testing.assert_allclose(changed, np.broadcast_to(expected[..., None], changed.shape), rtol=1e-6)


def test_a_recurrence_may_begin_as_the_identity():
    config = ModelConfig(3, 1, 8, 8, (BlockConfig(4),), LstmConfig(5))
    weight = METHODS["identity"].build(config).get_parameter("lstm.cell.recurrent_weight").detach()
    np.testing.assert_allclose(weight.numpy(), np.tile(RECURRENT_GAIN * np.eye(5), (4, 1)), rtol=1e-6)


def test_tables_of_trials_hold_their_figures():
    orders = {"as it is": 0.9, "reversed": 0.8, "shuffled": 0.7}
    assert "| glands | 2 | 0.900 | 0.800 | 0.700 |" in trials.orders({"rows": {"glands": {"seeds": 2, **orders}}})
    run = {"largest_score": 1234.5, "score_over_limit": 2.5, "refused": 1, "of": 1500}
    found = {"mean": 0.75, "sd": 0.01, "runs": [run, run]}
    compared = {**found, "against": {"difference": -0.01, "low": -0.02, "high": 0.0, "p": 0.04}}
    factors = {"1": found, "3": {"failed": "overflow"}, "10": compared}
    text = trials.penalties({"sets": {"some": {"title": "some", "seeds": [0, 1], "factors": factors}}})
    assert "| some | 1× | 0.750 ± 0.010 |  |  | 1,234.5 | 2.50 | 2 of 3,000 |" in text
    assert "| some | 3× | failed: overflow |" in text
    assert "| some | 10× | 0.750 ± 0.010 | -0.010 (-0.020 to +0.000) | 0.040 |" in text
    variants = {
        "as it is": {"title": "the recipe", "auc": {"0": 0.8, "1": 0.9}, "mean": 0.85},
        "less": {"title": "less", "auc": {"0": 0.7}, "mean": 0.7, "difference": -0.1},
        "gone": {"title": "gone", "auc": {}, "mean": 0.0},
    }
    text = trials.fields_ablations({"variants": variants})
    assert "| the recipe | 0.850 | 0.800, 0.900 |  |" in text
    assert "| less | 0.700 | 0.700 | -0.100 |" in text
    assert "| gone | diverged |" in text
