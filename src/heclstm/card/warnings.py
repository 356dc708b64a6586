"""Figures of a model → what to beware of, in words. A card holds these words, and so a page shows them.

They are worked out again where a card is read, so that cards of earlier releases have them too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from heclstm.card.interval import CONFIDENCE, quantile
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.temperature import Temperature

if TYPE_CHECKING:
    from heclstm.card.purpose import Purpose

FEW = 10  # positives: with so many found of so many, the 95 % interval of the sensitivity begins at 0.72
TEMPERATURES = (1 / 8, 8.0)  # where scores are logits: a training that went well ends between one half and two
SCORE_MAX = 50.0  # of logits; beyond, a probability differs from 0 or 1 by less than 10^-21


def derived(purpose: Purpose) -> tuple[str, ...]:
    """At most one of a kind, the gravest first."""
    return (*_out_of_reach(purpose), *_of_points(purpose.operating_points), *_of_scores(purpose))


def _out_of_reach(purpose: Purpose) -> Iterator[str]:
    """A score beyond its limit is refused, so that a point beyond it is never reached, or always."""
    limit = purpose.limit("score")
    for word, away in (("negative", 1), ("positive", -1)):
        if limit is not None and (
            points := [each for each in purpose.operating_points if away * each.threshold > limit]
        ):
            yield f"{_the(points)} lies beyond all scores that are read, so it calls everybody {word}."


def _of_points(points: tuple[OperatingPoint, ...]) -> Iterator[str]:
    if not points:
        yield "The model has no operating point, so its score is no decision."
    measured = [(point, *point.rates) for point in points if point.rates is not None]
    if blind := [point for point, _, specificity in measured if specificity == 0]:
        yield f"{_the(blind)} calls every negative positive (specificity 0 on {blind[0].chosen_on})."
    if chance := [point for point, _, specificity in measured if specificity > 0 and not _beats_chance(point)]:
        yield f"{_the(chance)} was not found to decide better than chance (on {chance[0].chosen_on})."
    few = [(count, point.chosen_on) for point in points if (count := point.people) is not None and count <= FEW]
    if few:
        count, chosen_on = min(few)[0], few[0][1]
        yield (
            f"The operating point was chosen by {count} positive patients on {chosen_on}: too few to rely on "
            "its sensitivity."
        )


def _beats_chance(point: OperatingPoint) -> bool:
    """Whether sensitivity + specificity lies above 1 by more than chance makes it, in 95 of 100 cases."""
    assert point.rates is not None  # who asks has looked
    pairs = zip(point.rates, (point.positives, point.negatives), strict=True)
    error = sum(rate * (1 - rate) / count for rate, count in pairs if count)
    return sum(point.rates) - 1 > quantile(CONFIDENCE) * math.sqrt(error)


def _the(points: list[OperatingPoint]) -> str:
    frames = " or ".join(str(point.frames) for point in points if point.frames is not None)
    return f"The operating point for {frames} frames" if frames else "The operating point"


def _of_scores(purpose: Purpose) -> Iterator[str]:
    scale: Temperature | None = purpose.temperature
    if scale is not None and not TEMPERATURES[0] <= scale.temperature <= TEMPERATURES[1]:
        yield (
            f"Scores had to be divided by {scale.temperature:.3g} to become probabilities: training went wrong, or few "
            "patients fitted it."
        )
    largest = next((each.max_abs for each in purpose.ranges if each.name == "score"), None)
    if largest is None:
        yield "The model was never calibrated, so scores of unusual images are not refused."
    elif largest > SCORE_MAX:  # as seen: a limit may be wider, where it follows from a bound that holds for all images
        yield f"Scores reach {largest:.3g}, expected a logit of at most {SCORE_MAX:g}: training went wrong."
