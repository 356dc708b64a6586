"""What the parts of a card tell, and that they stay what they are."""

import math

import pytest
from msgspec import structs

from heclstm.card import preparation as module
from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.model_facts import ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.card.ranges import Bounds, Range
from heclstm.card.temperature import Temperature
from heclstm.errors import FileFormatError, ModelError, NotAssessableError
from heclstm.storage.typed import plain, typed
from tiny_program import PURPOSE, tiny_program


def test_a_probability_follows_from_the_score():
    """1 / (1 + e^−(score / T + offset)), and stays finite."""
    scale = Temperature(2.0, 0.5)
    assert scale.probability(3.0) == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert scale.probability(-3.0) == pytest.approx(1 / (1 + math.exp(1.0)))
    assert Temperature(1.0).probability(800.0) == 1.0
    for score in (-701.0, -1e9):
        assert Temperature(1.0).probability(score) == pytest.approx(math.exp(-700.0), rel=1e-9, abs=0)
    assert 0.0 < Temperature(1.0).probability(-699.0) == pytest.approx(math.exp(-699.0), rel=1e-9, abs=0)
    assert Temperature(2.0, loss=0.5).to_json() == {
        "temperature": 2.0, "offset": 0.0, "loss": 0.5, "fitted_on": "validation",
    }  # fmt: skip


def test_cards_and_what_they_hold_do_not_change():
    card = tiny_program().card
    for value, field in (
        (card, "input_level"),
        (card.purpose, "model"),
        (card.model, "name"),
        (card.ranges[0], "limit"),
        (card.temperature, "offset"),
        (card.operating_points[0], "threshold"),
        (card.preparation, "width"),
        (Bounds(1.0, 2.0), "limit"),
        (Statistic("a", 0.0, 1.0), "low"),
        (Envelope((Statistic("a", 0.0, 1.0),), 1.0, 1), "coverage"),
    ):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(value, field, None)


def test_nothing_that_a_kind_does_not_know_stands_in_it():
    for kind, known in (
        (Bounds, {"max_abs": 1.0, "limit": 2.0}),
        (Range, {"name": "a", "max_abs": 1.0, "limit": 2.0}),
        (Temperature, {"temperature": 1.0}),
        (ModelFacts, {}),
        (OperatingPoint, {"threshold": 0.0}),
        (Statistic, {"name": "a", "low": 0.0, "high": 1.0}),
        (Envelope, {"statistics": [{"name": "a", "low": 0.0, "high": 1.0}], "coverage": 1.0, "sequences": 1}),
        (Preparation, plain(PURPOSE.preparation)),
        (Purpose, {}),
    ):
        assert isinstance(typed(known, kind, "x"), kind)
        with pytest.raises(FileFormatError, match="unknown field `more`"):
            typed({**known, "more": 1}, kind, "x")


def test_a_range_without_a_bound_does_not_say_so():
    """Digests of earlier cards depend on it."""
    assert plain(Range("a", 1.0, 2.0)) == {"name": "a", "max_abs": 1.0, "limit": 2.0}
    assert plain(Range("a", 1.0, 2.0, 3.0)) == {"name": "a", "max_abs": 1.0, "limit": 2.0, "bound": 3.0}
    purpose = Purpose(ranges=(Range("a", 1.0, 2.0, 3.0), Range("b", 1.0, 4.0)))
    assert [purpose.bound(name) for name in "abc"] == [3.0, None, None]
    assert [purpose.limit(name) for name in "abc"] == [2.0, 4.0, None]


def test_for_how_many_frames_there_are_decisions():
    assert (Purpose().assessable, Purpose().can_assess(3)) == ("any number", False)
    several = Purpose(operating_points=tuple(OperatingPoint(0.1 * frames, frames=frames) for frames in (4, 2, 3)))
    assert several.assessable == "2 or 3 or 4"
    assert [several.can_assess(frames) for frames in (1, 2, 4, 5)] == [False, True, True, False]
    assert several.operating_point().frames == 4  # without a number: the longest
    with pytest.raises(NotAssessableError, match="got 5 frames, expected 2 or 3 or 4; with others"):
        several.operating_point(5)
    assert Purpose(operating_points=(OperatingPoint(0.1),)).can_assess(9)


def test_whose_images_they_are():
    assert ModelFacts(attribution="a", licence="b").credit == "a. Licence: b"
    assert [ModelFacts(attribution="a").credit, ModelFacts(licence="b").credit, ModelFacts().credit] == ["a", "b", ""]


def test_whether_short_sequences_are_padded():
    exact = Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8)
    for preparation, padded in ((None, False), (exact, False), (structs.replace(exact, length="pad"), True)):
        assert Purpose(preparation=preparation).padded is padded


def test_what_lies_on_a_bound_is_usual():
    envelope = Envelope((Statistic("a", 1.0, 2.0), Statistic("b", 3.0, 3.0)), 1.0, 1)
    for low in (1.0, 1.5, 2.0):
        assert envelope.outside({"a": low, "b": 3.0}) == ()
    assert envelope.outside({"a": 0.9, "b": 3.1}) == ("a is below 1", "b is above 3")


def test_each_axis_of_a_volume(monkeypatch):
    for axis, shape in ((0, (4, 8, 6)), (1, (8, 4, 6)), (2, (8, 6, 4))):
        known = {"kind": "volume", "source": list(shape), "frames": 4, "channels": 1, "height": 8, "width": 8}
        assert Preparation.from_json({**known, "axis": axis}).axis == axis
    assert Preparation("volume", (8, 6, 4), 4, 1, 8, 6).axis == 2
    for axis in (-1, 3):
        with pytest.raises(ModelError, match="axis"):
            Preparation.from_json({**known, "axis": axis})


def test_so_many_numbers_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "NUMBERS_MAX", 4 * 8 * 6)
    assert Preparation("volume", (8, 6, 4), 4, 1, 8, 6).shape == (4, 1, 8, 6)
    monkeypatch.setattr(module, "NUMBERS_MAX", 4 * 8 * 6 - 1)
    with pytest.raises(ModelError, match="makes 192 numbers, expected at most 191"):
        Preparation("volume", (8, 6, 4), 4, 1, 8, 6)
