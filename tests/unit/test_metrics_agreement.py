"""Folds, pooling, and how other scores compare with the clear ones."""

import numpy as np
import pytest

from heclstm.errors import ModelError
from heclstm.model.evaluate import Fold, agreement, pool
from heclstm.model.metrics import area_under_curve, roc_curve
from heclstm.model.temperature import calibration_error, reliability

LABELS = np.array([1, 1, 0, 0])


def fold(clear, other, threshold=0.5, **more):
    return Fold("a", LABELS, {"clear": np.array(clear), "encrypted": np.array(other)}, threshold, **more)


def test_errors_and_decisions_are_counted_where_a_score_was_made():
    one = fold([1.0, 0.49, 0.2, -1.0], [1.1, 0.51, np.nan, -1.0])
    found = agreement(one, "encrypted")
    assert (found.sequences, found.decisions_agree) == (3, 2)
    assert found.worst_error == pytest.approx(0.1)
    assert found.mean_error == pytest.approx(0.12 / 3)
    assert found.rms_error == pytest.approx(np.sqrt((0.01 + 0.0004) / 3))
    assert found.auc_difference == 0.0


def test_the_difference_of_aucs_is_that_on_the_same_sequences():
    one = fold([1.0, 0.0, 0.2, -1.0], [1.0, 0.3, 0.2, np.nan])
    assert agreement(one, "encrypted").auc_difference == pytest.approx(1.0 - 0.5)


def test_one_outcome_has_no_auc():
    one = fold([1.0, 0.0, 0.2, -1.0], [1.0, 0.3, np.nan, np.nan])
    assert agreement(one, "encrypted").auc_difference is None
    assert one.measures("encrypted") is None


def test_no_score_at_all_is_refused():
    with pytest.raises(ModelError, match="got no encrypted score of 4 sequences"):
        agreement(fold(np.zeros(4), np.full(4, np.nan)), "encrypted")


def test_patients_count_once():
    one = fold([3.0, 1.0, 0.2, -1.0], np.zeros(4), patients=np.array(["x", "x", "y", "z"]))
    scores, labels = one.outcomes("clear")
    assert scores.tolist() == [2.0, 0.2, -1.0]
    assert labels.tolist() == [1, 0, 0]
    assert one.measures("clear").total == 3


def test_pooled_scores_count_from_their_operating_point():
    """The second model's scores are ten higher and so is its operating point: pooled, both decide alike."""
    first = fold([1.0, 0.8, 0.2, -1.0], np.zeros(4))
    second = Fold("b", LABELS, {"clear": first.scores["clear"] + 10}, 10.5)
    pooled = pool([first, second])
    assert (pooled.threshold, list(pooled.scores)) == (0.0, ["clear"])
    found = pooled.measures("clear")
    assert (found.total, found.true_positives, found.true_negatives) == (8, 4, 4)
    assert found.auc.value == 1.0
    assert pool([first]) is first


def test_the_roc_curve_encloses_the_auc():
    """Trapezoids, since a step with ties in both classes goes slanted: exactly what half a count does."""
    rng = np.random.default_rng(3)
    scores, labels = np.round(rng.normal(size=150), 1), rng.integers(0, 2, 150)
    alarms, found = roc_curve(scores, labels)
    assert (alarms[0], found[0], alarms[-1], found[-1]) == (0.0, 0.0, 1.0, 1.0)
    area = np.sum(np.diff(alarms) * (found[1:] + found[:-1]) / 2)
    assert area == pytest.approx(area_under_curve(scores, labels), abs=1e-12)


def test_groups_of_a_calibration_plot():
    chances, labels = np.array([0.9, 0.1, 0.2, 0.8]), np.array([1, 0, 1, 1])
    low, high = reliability(chances, labels, bins=2)
    assert (low[0], low[1].value, low[2]) == (pytest.approx(0.15), 0.5, 2)
    assert (high[0], high[1].value) == (pytest.approx(0.85), 1.0)
    assert calibration_error(chances, labels, bins=2) == pytest.approx((0.35 + 0.15) / 2)
