"""What an operating point tells, and what a decision means for one patient: worked out by hand."""

from dataclasses import FrozenInstanceError

import pytest

from heclstm.card.interval import Interval, wilson
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.predictive import intervals, predictive, values_at
from heclstm.errors import InputError

POINT = OperatingPoint(0.25, 0.95, 0.95, 0.5, 20, 80)


def test_predictive_values_by_hand():
    """1,000 patients, 20 of them positive: 19 found of 20, 490 cleared of 980."""
    found = predictive(POINT, 0.02)
    assert found.positive.value == pytest.approx(19 / (19 + 490))
    assert found.negative.value == pytest.approx(490 / (490 + 1))
    sensitivity, specificity = intervals(POINT)
    assert (sensitivity, specificity) == (wilson(19, 20), wilson(40, 80))
    low = 0.02 * sensitivity.low / (0.02 * sensitivity.low + 0.98 * (1 - specificity.low))
    assert found.positive.low == pytest.approx(low)
    assert found.positive.low < found.positive.value < found.positive.high
    assert predictive(POINT).prevalence == 0.2  # that of the data where it was chosen
    assert predictive(OperatingPoint(0.25, 0.95, 0.95, 0.5)) is None


@pytest.mark.parametrize(("rates_", "expected"), [((0.0, 1.0), (0.1, 0.9)), ((1.0, 0.0), (0.1, 0.9))])
def test_a_decision_that_never_falls_tells_what_the_prevalence_says(rates_, expected):
    found = predictive(OperatingPoint(0.0, 0.95, *rates_, 100, 100), 0.1)
    assert (found.positive.value, found.negative.value) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 20.0])
def test_a_prevalence_is_a_share(wrong):
    with pytest.raises(InputError, match="expected a share between 0 and 1"):
        predictive(POINT, wrong)


def test_both_rise_with_both_rates():
    """Lower ends make the lower end, upper ends the upper one."""
    found = values_at(Interval(0.9, 0.8, 0.95), Interval(0.7, 0.6, 0.75), 0.1)
    for ends, se, sp in (("value", 0.9, 0.7), ("low", 0.8, 0.6), ("high", 0.95, 0.75)):
        assert getattr(found.positive, ends) == pytest.approx(0.1 * se / (0.1 * se + 0.9 * (1 - sp)))
        assert getattr(found.negative, ends) == pytest.approx(0.9 * sp / (0.9 * sp + 0.1 * (1 - se)))
    with pytest.raises(FrozenInstanceError):
        found.prevalence = 0.2


def test_as_many_found_as_alarmed_are_half():
    """The same for those that are missed and cleared."""
    same = Interval(0.75, 0.75, 0.75)
    assert values_at(same, same, 0.25).positive.value == 0.5
    assert values_at(same, same, 0.75).negative.value == 0.5


@pytest.mark.parametrize("changes", [(None, 80), (20, None), (0, 80), (20, 0)])
def test_where_nobody_counted_nothing_is_said(changes):
    point = OperatingPoint(0.25, 0.95, 0.95, 0.5, *changes)
    assert intervals(point) is None
    assert predictive(point) is None
    assert predictive(point, 0.1) is None


def test_one_of_each_is_counted():
    point = OperatingPoint(0.25, 0.95, 1.0, 1.0, 1, 1)
    assert intervals(point) == (wilson(1, 1), wilson(1, 1))
    assert predictive(point).prevalence == 0.5


def test_what_an_operating_point_tells():
    assert POINT.rates == (0.95, 0.5)
    assert OperatingPoint(0.25, 0.95, 0.95).rates is None
    assert OperatingPoint(0.25, specificity=0.5).rates is None
    assert POINT.prevalence == 0.2
    assert OperatingPoint(0.25, positives=20).prevalence is None
    assert OperatingPoint(0.25, positives=0, negatives=5).prevalence is None
    assert OperatingPoint(0.25, positives=1, negatives=0).prevalence == 1.0
    assert (POINT.people, OperatingPoint(0.25, positives=20, negatives=80, patients=7).people) == (20, 7)
    assert POINT.chosen_by == "20 positive sequences and 80 negative ones on validation"
    of_few = OperatingPoint(0.25, positives=20, negatives=80, patients=7)
    assert of_few.chosen_by == "20 positive sequences of 7 patients and 80 negative ones on validation"
    assert OperatingPoint(0.25).chosen_by == ""
    assert OperatingPoint(0.25, positives=3).to_json() == {"threshold": 0.25, "positives": 3, "chosen_on": "validation"}
    with pytest.raises(AttributeError, match="immutable"):
        POINT.threshold = 1.0
