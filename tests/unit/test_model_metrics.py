"""AUC and rates against counting by hand."""

import numpy as np
import pytest

from heclstm.errors import ModelError
from heclstm.model.metrics import area_under_curve, rates


def test_auc_counts_pairs_and_halves_ties():
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8, 0.2]), np.array([0, 0, 1, 1, 1])
    # pairs (positive, negative): 0.4>0.1, 0.4=0.4, 0.8>0.1, 0.8>0.4, 0.2>0.1, 0.2<0.4 → 4.5 of 6
    assert area_under_curve(scores, labels) == pytest.approx(4.5 / 6)


def test_auc_equals_the_count_over_all_pairs():
    rng = np.random.default_rng(3)
    scores, labels = np.round(rng.normal(size=200), 1), rng.integers(0, 2, 200)
    difference = scores[labels == 1][:, None] - scores[labels == 0][None]
    assert area_under_curve(scores, labels) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


def test_rates_count_the_threshold_itself_as_positive():
    assert rates(np.array([1.0, 1.0]), np.array([1, 0]), 1.0) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros(3), np.zeros(3, int), "got 0 labels 1 and 3 labels 0 of 3"),
        (np.zeros(3), np.array([0, 1, 2]), "got 1 labels 1 and 1 labels 0 of 3"),
        (np.zeros((3, 1)), np.zeros(3, int), r"got scores \(3, 1\) and labels \(3,\)"),
    ],
)
def test_scores_without_both_outcomes_are_refused(scores, labels, message):
    with pytest.raises(ModelError, match=message):
        area_under_curve(scores, labels)
