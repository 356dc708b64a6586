"""What a decision means for one patient: how many of those called positive are, at a stated prevalence. pure Python.

    positive predictive value   p·se / (p·se + (1 − p)(1 − sp))
    negative predictive value   (1 − p)·sp / ((1 − p)·sp + p(1 − se))

Both rise with sensitivity and with specificity, so the lower ends of their 95 % intervals give a lower bound, the upper
ends an upper one (Bonferroni: with 90 %).
"""

from __future__ import annotations

from dataclasses import dataclass

from heclstm.card.interval import Interval, wilson
from heclstm.card.operating_point import OperatingPoint
from heclstm.errors import InputError


@dataclass(frozen=True)
class Predictive:
    """positive: how many of those called positive are; negative: how many of those called negative are none."""

    prevalence: float
    positive: Interval
    negative: Interval


def intervals(point: OperatingPoint) -> tuple[Interval, Interval] | None:
    """(sensitivity, specificity) where it was chosen, with 95 % intervals; None where nobody counted."""
    if point.rates is None or not point.positives or not point.negatives:
        return None
    counts = (point.positives, point.negatives)
    sensitivity, specificity = (wilson(round(s * n), n) for s, n in zip(point.rates, counts, strict=True))
    return sensitivity, specificity


def predictive(point: OperatingPoint, prevalence: float | None = None) -> Predictive | None:
    """At this prevalence, or that of the data where the point was chosen; None where nobody counted."""
    prevalence = point.prevalence if prevalence is None else prevalence
    measured = intervals(point)
    if measured is None or prevalence is None:
        return None
    return values_at(*measured, prevalence)


def values_at(sensitivity: Interval, specificity: Interval, prevalence: float) -> Predictive:
    """Raises InputError for a prevalence that is none."""
    require_prevalence(prevalence)
    ends = zip(_three(sensitivity), _three(specificity), strict=True)
    values = [_values(se, sp, prevalence) for se, sp in ends]
    return Predictive(prevalence, Interval(*(v for v, _ in values)), Interval(*(v for _, v in values)))


def require_prevalence(prevalence: float) -> None:
    if not 0 < prevalence < 1:
        raise InputError(f"prevalence: got {prevalence:g}, expected a share between 0 and 1, such as 0.02")


def _three(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Where nobody is called so, what the prevalence says: a decision that never falls tells nothing."""
    found, alarms = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    missed, cleared = prevalence * (1 - sensitivity), (1 - prevalence) * specificity
    positive = found / (found + alarms) if found + alarms else prevalence
    negative = cleared / (cleared + missed) if cleared + missed else 1 - prevalence
    return positive, negative
