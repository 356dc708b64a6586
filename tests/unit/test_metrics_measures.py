"""Outcomes at an operating point, one row for each patient, and the temperature of a score."""

import numpy as np
import pytest

from heclstm.errors import ModelError
from heclstm.model.metrics import by_patient, measure, rates
from heclstm.model.operating_points import choose_operating_point
from heclstm.model.temperature import fit_temperature, log_loss, probabilities


def test_outcomes_are_counted():
    scores, labels = np.array([2.0, 0.5, -1.0, 0.5, 0.4, -3.0]), np.array([1, 1, 1, 0, 0, 0])
    found = measure(scores, labels, 0.5)
    assert (found.true_positives, found.missed, found.true_negatives, found.false_alarms) == (2, 1, 2, 1)
    assert found.sensitivity.value == pytest.approx(2 / 3)
    assert found.missed_rate.value == pytest.approx(1 / 3)
    assert found.specificity.value == pytest.approx(2 / 3)
    assert found.accuracy.value == pytest.approx(4 / 6)
    assert found.missed_rate.low == pytest.approx(1 - found.sensitivity.high)
    assert found.auc.value == pytest.approx((3 + 2.5 + 1) / 9)  # negatives that each positive beats
    data = found.to_json()
    assert data["missed"] == 1
    assert data["accuracy"]["value"] == found.accuracy.value


def test_measure_and_rates_agree():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=300), rng.integers(0, 2, 300)
    point = choose_operating_point(scores, labels, 0.9)
    found = measure(scores, labels, point.threshold)
    assert (found.sensitivity.value, found.specificity.value) == rates(scores, labels, point.threshold)


def test_a_patient_counts_once():
    scores, labels = np.array([1.0, 4.0, 3.0, -2.0]), np.array([0, 1, 0, 0])
    means, positive, names = by_patient(scores, labels, np.array(["b", "a", "b", "c"]))
    assert names.tolist() == ["b", "a", "c"]
    assert means.tolist() == [2.0, 4.0, -2.0]
    assert positive.tolist() == [0, 1, 0]


def test_a_patient_is_positive_if_one_sequence_is():
    assert by_patient(np.zeros(2), np.array([0, 1]), np.array([7, 7]))[1].tolist() == [1]


def test_lengths_must_agree():
    with pytest.raises(ModelError, match="got 2 scores, 2 labels, 1 patients"):
        by_patient(np.zeros(2), np.zeros(2, int), np.zeros(1))


def test_the_temperature_is_found_again():
    """Labels drawn at temperature 2 and offset −1. The estimates' covariance is the inverse of the Fisher
    information, by the delta rule for the temperature; four standard errors are allowed."""
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 3, 20_000)
    chance = probabilities(scores, 2.0, -1.0)
    found = fit_temperature(scores, (rng.random(20_000) < chance).astype(np.int64))
    design = np.stack([scores, np.ones_like(scores)])
    covariance = np.linalg.inv((design * chance * (1 - chance)) @ design.T)
    slope_error, offset_error = np.sqrt(np.diag(covariance))
    assert found.temperature == pytest.approx(2.0, abs=4 * 2.0**2 * slope_error)
    assert found.offset == pytest.approx(-1.0, abs=4 * offset_error)
    assert found.loss < found.loss_before


def test_the_temperature_stays_finite_where_scores_separate():
    scores, labels = np.array([-1.0, -2.0, 1.0, 2.0]), np.array([0, 0, 1, 1])
    found = fit_temperature(scores, labels)
    assert 0 < found.temperature < np.inf
    assert found.loss == pytest.approx(log_loss(scores, labels, found.temperature, found.offset))


def test_scores_that_point_the_wrong_way_have_no_temperature():
    with pytest.raises(ModelError, match="does not mean a likelier positive"):
        fit_temperature(np.array([2.0, 1.5, -1.0, -2.0, 0.1]), np.array([0, 0, 1, 1, 1]))


def test_probabilities_do_not_change_the_ranking():
    scores = np.linspace(-900, 900, 50)
    assert (np.diff(probabilities(scores, 3.0, 0.5)) >= 0).all()
    assert probabilities(np.zeros(1))[0] == 0.5
