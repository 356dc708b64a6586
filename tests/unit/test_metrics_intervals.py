"""Intervals against pairs counted one by one, against closed forms, and against the bootstrap."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from heclstm.card.interval import wilson
from heclstm.errors import ModelError
from heclstm.model.intervals import delong
from heclstm.model.metrics import area_under_curve

Z = 1.959963984540054  # of the 95 % interval


def by_pairs(positives, negatives):
    """(AUC, standard error) from the matrix of all pairs, as DeLong et al. define the components."""
    psi = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    rows, columns = psi.mean(axis=1), psi.mean(axis=0)
    variance = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
    return psi.mean(), np.sqrt(variance)


def test_delong_by_hand():
    """Positives 3, 5 and negatives 1, 4: they beat ½ and 1 of the others, are beaten by 0 and ½ (of 2 each).

    psi = [[1, 0], [1, 1]]; rows ½, 1 and columns 1, ½ have variance 1/8 each → SE² = 1/8 / 2 + 1/8 / 2 = 1/8.
    """
    found = delong(np.array([3.0, 5.0]), np.array([1.0, 4.0]))
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - Z * np.sqrt(1 / 8))
    assert found.high == 1.0  # clipped


@pytest.mark.parametrize("ties", [False, True])
def test_delong_equals_the_count_over_all_pairs(ties):
    rng = np.random.default_rng(5)
    positives, negatives = rng.normal(1.0, 1.3, 40), rng.normal(0.0, 1.0, 170)
    if ties:
        positives, negatives = np.round(positives), np.round(negatives)
    area, error = by_pairs(positives, negatives)
    found = delong(positives, negatives)
    assert found.value == pytest.approx(area, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((area - Z * error, area + Z * error), abs=1e-12)
    scores, labels = np.concatenate([positives, negatives]), np.repeat([1, 0], [40, 170])
    assert found.value == pytest.approx(area_under_curve(scores, labels), abs=1e-12)


def test_delong_agrees_with_the_bootstrap():
    """Both estimate one standard error. 4,000 draws know it to 1/√8000 = 1.1 %, four of which are allowed, and
    the bootstrap, dividing by m and n where DeLong divides by m − 1 and n − 1, lies up to 1/2m below: 0.8 %."""
    rng = np.random.default_rng(6)
    positives, negatives = rng.normal(1.2, 1.0, 60), rng.normal(0.0, 1.0, 200)
    psi = (positives[:, None] > negatives).astype(float)
    draws = [psi[rng.integers(0, 60, 60)[:, None], rng.integers(0, 200, 200)].mean() for _ in range(4000)]
    found = delong(positives, negatives)
    assert np.std(draws) == pytest.approx((found.high - found.low) / (2 * Z), rel=4 / np.sqrt(8000) + 1 / 120)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """P(positive > negative) = Φ(1/√2) for unit normals one apart. 600 repetitions: 95 % ± 4·√(.95·.05/600)."""
    rng = np.random.default_rng(7)
    truth, covered = 0.7602499389065233, 0
    for _ in range(600):
        found = delong(rng.normal(1.0, 1.0, 60), rng.normal(0.0, 1.0, 120))
        covered += found.low <= truth <= found.high
    assert covered / 600 == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 600))


def test_one_positive_says_nothing():
    found = delong(np.array([1.0]), np.arange(10.0))
    assert (found.low, found.high) == (0.0, 1.0)


def test_wilson_solves_its_equation():
    """Both ends p satisfy |share − p| = z·√(p(1 − p)/n)."""
    found = wilson(17, 22)
    for end in (found.low, found.high):
        assert abs(17 / 22 - end) == pytest.approx(Z * np.sqrt(end * (1 - end) / 22))
    for total in range(1, 200):  # whatever the rounding
        assert (wilson(0, total).low, wilson(total, total).high) == (0.0, 1.0)
    assert 0 < wilson(1, 9).low < wilson(8, 9).high < 1


def test_impossible_counts_and_confidences_are_refused():
    with pytest.raises(ModelError, match="got 3 of 2"):
        wilson(3, 2)
    with pytest.raises(ModelError, match="got 0 of 0"):
        wilson(0, 0)
    with pytest.raises(ModelError, match="got -1 of 2"):
        wilson(-1, 2)
    for confidence in (1.0, 0.0, -0.5):
        with pytest.raises(ModelError, match=rf"confidence of {confidence}, expected more than 0"):
            wilson(1, 2, confidence=confidence)
    with pytest.raises(FrozenInstanceError):
        wilson(1, 2).low = 0.0
