"""What a card warns of, in words that follow from its figures."""

import pytest
from msgspec import structs

from heclstm.card.model_facts import WARNINGS_MAX, ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.purpose import Purpose
from heclstm.card.ranges import Range
from heclstm.card.temperature import Temperature
from random_models import random_model, small_config
from tiny_program import PURPOSE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operating_points": ()}, "no operating point, so its score is no decision"),
        ({"operating_points": (OperatingPoint(0.0, 0.95, 1.0, 0.0, 22, 76),)}, "calls every negative positive"),
        (
            {"operating_points": (OperatingPoint(0.0, 0.95, 0.875, 0.125, 22, 76),)},
            "found to decide better",
        ),
        (
            {"operating_points": (OperatingPoint(0.0, 0.95, 0.96, 0.08, 48, 48),)},
            "found to decide better",
        ),
        ({"operating_points": (OperatingPoint(0.0, 0.95, 1.0, 0.9, 10, 76),)}, "chosen by 10 positive patients"),
        ({"operating_points": (OperatingPoint(0, 1, 1, 1, 90, 76, patients=9),)}, "chosen by 9 positive patients"),
        ({"operating_points": (OperatingPoint(0, 1, 1, 0, 90, 76, frames=3),)}, "operating point for 3 frames calls"),
        ({"temperature": Temperature(28.0)}, "divided by 28 to become"),
        ({"temperature": Temperature(0.1)}, "divided by 0.1 to become"),
        ({"ranges": (Range("score", 2000.0, 2500.0),)}, "Scores reach 2e"),
        ({"ranges": ()}, "never calibrated"),
        ({"operating_points": (OperatingPoint(4.5, 0.95, 0.96, 0.5, 22, 76),)}, "so it calls everybody negative"),
        ({"operating_points": (OperatingPoint(-4.5, 0.95, 0.96, 0.5, 22, 76),)}, "so it calls everybody positive"),
    ],
)
def test_each_figure_that_is_not_sane_has_its_words(changes, words):
    warnings = structs.replace(PURPOSE, **changes).warnings
    assert len(warnings) == 1
    assert words in warnings[0]


def test_sane_figures_have_none():
    assert PURPOSE.warnings == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"operating_points": (OperatingPoint(0.0, 0.95, 1.0, 0.9, 11, 76),)},
        {"temperature": Temperature(0.125)},
        {"temperature": Temperature(8.0)},
        {"ranges": (Range("score", 50.0, 900.0),)},  # a limit follows from what no image can exceed
        {"operating_points": (OperatingPoint(4.0, 0.95, 0.96, 0.5, 22, 76),)},
        {"operating_points": (OperatingPoint(-4.0, 0.95, 0.96, 0.5, 22, 76),)},
    ],
)
def test_the_last_figures_that_are_sane(changes):
    assert structs.replace(PURPOSE, **changes).warnings == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": Temperature(0.1249)},
        {"temperature": Temperature(8.01)},
        {"ranges": (Range("score", 50.01, 60.0),)},
    ],
)
def test_the_first_figures_that_are_not(changes):
    assert len(structs.replace(PURPOSE, **changes).warnings) == 1


@pytest.mark.parametrize(
    ("rates", "counts", "words"),
    [
        (
            (1.0, 0.0),
            (90, 76),
            "The operating point for 2 or 3 frames calls every negative positive (specificity 0 on a).",
        ),
        (
            (0.5, 0.5),
            (90, 76),
            "The operating point for 2 or 3 frames was not found to decide better than chance (on a).",
        ),
        ((1.0, 0.9), (7, 76), "chosen by 6 positive patients on a: too few"),
        ((1.0, 0.9), (1, 76), "chosen by 0 positive patients on a: too few"),
    ],
)
def test_of_several_points_the_first_is_named(rates, counts, words):
    """And the fewest patients."""
    points = (
        OperatingPoint(0.0, 0.95, *rates, *counts, chosen_on="a", frames=2),
        OperatingPoint(0.0, 0.95, *rates, counts[0] - (counts[0] <= 10), counts[1], chosen_on="b", frames=3),
    )
    warnings = structs.replace(PURPOSE, operating_points=points).warnings
    assert words in warnings[0]


def test_a_card_holds_them_once_beside_those_of_its_owner():
    model = random_model(small_config(frames=2, channels=1), 0).with_metadata(warnings=["mind the gap"] * 3)
    purpose = Purpose.of(model)
    assert purpose.model.warnings[0] == "mind the gap"
    assert len(purpose.model.warnings) == 3  # with those of no operating point and no calibration
    assert purpose.warnings == purpose.model.warnings
    many = Purpose.of(model.with_metadata(warnings=[f"{number}" for number in range(WARNINGS_MAX)]))
    assert "no operating point" in " ".join(many.model.warnings)  # what follows from figures is never crowded out
    assert len(many.model.warnings) == WARNINGS_MAX
    assert Purpose(model=ModelFacts(warnings=("a",))).warnings[0] == "a"
