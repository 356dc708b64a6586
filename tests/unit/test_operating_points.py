"""The score at which a model decides: against counting by hand, and for each number of frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.data.datasets import Part, prepare_part
from heclstm.errors import ModelError, NotAssessableError
from heclstm.model.metrics import measure, rates
from heclstm.model.operating_points import (
    MARGIN,
    beginnings,
    choose_operating_point,
    operating_points,
    with_operating_points,
)
from heclstm.model.reference import forward
from random_models import random_model, small_config


def test_the_operating_point_misses_no_more_than_allowed():
    scores = np.array([5.0, 4.0, 3.0, 1.0, 2.0, 0.0, -1.0])
    labels = np.array([1, 1, 1, 1, 0, 0, 0])
    point = choose_operating_point(scores, labels, 0.75)
    assert point.threshold == pytest.approx(2.5)  # halfway between 3 (the third positive) and 2
    assert (point.sensitivity, point.specificity) == (0.75, 1.0)
    assert (point.positives, point.negatives, point.patients) == (4, 3, UNSET)
    point = choose_operating_point(scores, labels, 0.95)
    assert point.threshold == pytest.approx(0.5)
    assert (point.sensitivity, point.specificity) == (1.0, pytest.approx(2 / 3))


def test_nobody_is_missed_where_that_costs_nothing():
    """48 positives above all negatives: allowed to miss two, the highest threshold at 0.95 missed two for nothing."""
    positives, negatives = np.linspace(2, 6, 48), np.linspace(-6, 1, 48)
    point = choose_operating_point(np.concatenate([positives, negatives]), np.repeat([1, 0], 48), 0.95)
    assert point.threshold == pytest.approx(1.5)
    assert (point.sensitivity, point.specificity) == (1.0, 1.0)


def test_there_is_room_for_the_error_of_an_encrypted_score():
    """Also where everybody scores above the negatives, or where the next one is nearer than the error."""
    alone = choose_operating_point(np.array([0.0, 1.0]), np.array([1, 0]), 1.0)
    assert alone.threshold == -MARGIN
    assert (alone.sensitivity, alone.specificity) == (1.0, 0.0)
    close = choose_operating_point(np.array([1.0, 1.0 - 1e-6, 0.0]), np.array([1, 0, 0]), 1.0)
    assert close.threshold == 1.0 - MARGIN
    assert (close.sensitivity, close.specificity) == (1.0, 0.5)  # what is too near to be told apart is no true negative


SCORED = st.lists(st.tuples(st.integers(-40, 40), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(SCORED, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_no_threshold_is_better(rows, wanted):
    """None that finds as many as wanted is more specific, and of equally specific ones none finds more."""
    scores = np.array([score / 4 for score, _ in rows])  # further apart than the margin, or equal
    labels = np.array([int(label) for _, label in rows])
    point = choose_operating_point(scores, labels, wanted)
    others = [rates(scores, labels, threshold) for threshold in np.unique(scores)]
    best = max(specificity for sensitivity, specificity in others if sensitivity >= wanted - 1e-9)
    assert point.specificity == best
    assert point.sensitivity == max(sensitivity for sensitivity, specificity in others if specificity == best)
    found = scores[labels == 1]
    assert np.abs(found[found >= point.threshold] - point.threshold).min() >= MARGIN
    assert measure(scores, labels, point.threshold).sensitivity.value == point.sensitivity


def test_it_is_said_who_chose_it():
    scores, labels = np.array([3.0, 2.5, 2.0, 1.0]), np.array([1, 1, 1, 0])
    point = choose_operating_point(scores, labels, 1.0, patients=("a", "a", "b", "c"))
    assert (point.positives, point.patients, point.people) == (3, 2, 2)
    assert point.chosen_by == "3 positive sequences of 2 patients and 1 negative ones on validation"
    assert choose_operating_point(scores, labels, 1.0).people == 3
    assert OperatingPoint(0.0).chosen_by == ""
    assert point.prevalence == 0.75


def test_an_impossible_sensitivity_is_refused():
    with pytest.raises(ModelError, match=r"got sensitivity 1\.5"):
        choose_operating_point(np.zeros(2), np.array([0, 1]), 1.5)


# ── by number of frames ────────────────────────────────────────────────────────────────────────────────────────

PADDED = Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8, length="pad")
EXACT = Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8)


@pytest.fixture(scope="module")
def model():
    return random_model(small_config(frames=3, channels=1), seed=4)


def part_of(count, lengths, seed=0):
    rng = np.random.default_rng(seed)
    images = [rng.random((length, 1, 8, 8), np.float32) for length in lengths for _ in range(count)]
    return Part(images, np.arange(len(images)) % 2)


def test_a_beginning_scores_as_a_shorter_sequence(model):
    """What the hospital adds up for k frames is what whole sequences tell about their first k."""
    part = part_of(2, (2, 3))
    contributions = forward(model, *prepare_part(part, PADDED))["contributions"][:, :, 0]
    _, mask = prepare_part(part, PADDED)
    for count, rows, scores in beginnings(contributions, mask):
        shorter = Part([part.images[row][:count] for row in rows], part.labels[rows])
        expected = forward(model, *prepare_part(shorter, PADDED))["score"][:, 0]
        np.testing.assert_allclose(scores, expected, atol=1e-12)
        assert len(rows) == (4 if count < 3 else 2)


def test_only_numbers_of_frames_that_tell_get_an_operating_point(model, monkeypatch):
    """One frame says nothing (scores of both outcomes are the same), two and three say all."""
    part = part_of(40, (3,))
    contributions = np.zeros((40, 3, 1))
    contributions[:, 0, 0] = np.repeat(np.arange(20), 2)
    contributions[:, 1, 0] = 100.0 * part.labels
    monkeypatch.setattr("heclstm.model.operating_points.forward", lambda *_: {"contributions": contributions})
    points = operating_points(model, part, PADDED, 0.95)
    assert [point.frames for point in points] == [2, 3]
    assert {point.rates for point in points} == {(1.0, 1.0)}


@pytest.mark.parametrize("lucky", [False, True])
def test_a_model_that_tells_nothing_of_whole_sequences_is_warned_of_for_all(model, monkeypatch, lucky):
    """Fewer frames are no better than all of them, whatever a short beginning seems to tell."""
    part = part_of(40, (3,))
    contributions = np.zeros((40, 3, 1))
    if lucky:
        contributions[:, 0, 0] = part.labels
        contributions[:, 2, 0] = -part.labels
    monkeypatch.setattr("heclstm.model.operating_points.forward", lambda *_: {"contributions": contributions})
    points = operating_points(model, part, PADDED, 0.95)
    assert [point.frames for point in points] == [1, 2, 3]
    assert points[-1].rates == (1.0, 0.0)
    assert "calls every negative positive" in Purpose(operating_points=points).warnings[0]


def test_a_model_of_one_length_has_one_operating_point(model):
    points = operating_points(model, part_of(20, (3,)), EXACT, 0.9)
    assert [point.frames for point in points] == [None]
    kept = with_operating_points(model.with_metadata(name="x"), points)
    assert kept.metadata == {"name": "x", "operating_point": points[0].to_json()}
    by_frames = with_operating_points(kept, [OperatingPoint(1.0, frames=2), OperatingPoint(2.0, frames=3)])
    assert "operating_point" not in by_frames.metadata
    assert [point.frames for point in Purpose.of(by_frames).operating_points] == [2, 3]


def test_numbers_of_frames_without_one_are_not_assessable():
    purpose = Purpose(operating_points=(OperatingPoint(0.5, frames=3), OperatingPoint(0.7, frames=4)))
    assert purpose.operating_point(3).threshold == 0.5
    assert purpose.operating_point().threshold == 0.7
    assert (purpose.assessable, purpose.can_assess(2), purpose.can_assess(4)) == ("3 or 4", False, True)
    with pytest.raises(NotAssessableError, match="not assessable: got 2 frames, expected 3 or 4"):
        purpose.operating_point(2)
    for_all = Purpose(operating_points=(OperatingPoint(0.5),))
    assert (for_all.assessable, for_all.can_assess(1)) == ("any number", True)
    assert not Purpose().can_assess(1)
