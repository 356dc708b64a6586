"""What a decision means, in sentences: for pages, pictures and the terminal alike."""

from __future__ import annotations

from heclstm.card.interval import Interval
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.predictive import intervals, predictive, require_prevalence
from heclstm.deploy.usual import first_of
from heclstm.report.findings import Findings
from heclstm.templates.language import decimal, gettext, marked, ngettext, said
from heclstm.templates.retold import retold_note
from heclstm.templates.units import percent, signed

__all__ = [
    "DECISIONS",
    "OperatingPoint",
    "chance",
    "counted",
    "decision_of",
    "errors_of",
    "meaning",
    "noted",
    "origin",
    "rates",
    "remarks",
    "unusual",
]

DECISIONS = (marked("positive"), marked("negative"), marked("not assessable"), marked("no decision"))
_DATA = (marked("validation"), marked("calibration"))  # where operating points are chosen


def rates(point: OperatingPoint | None) -> str:
    """How often decisions at this operating point were right where it was chosen, and by whom; empty if unknown."""
    if point is None or point.rates is None:
        return ""
    frames = said(" of {frames}", frames=counted(point.frames)) if point.frames else ""
    measured = intervals(point)
    found = [percent(rate, 0) for rate in point.rates] if measured is None else [_interval(each) for each in measured]
    words = said("sensitivity {sensitivity}, specificity {specificity}", sensitivity=found[0], specificity=found[1])
    if measured is None:
        return f"{words}{frames} " + said("on {data} data", data=gettext(point.chosen_on))
    return f"{words}{frames}; " + said("chosen by {people}", people=_people(point))


def decision_of(findings: Findings) -> tuple[str, ...]:
    """The decision in plain words, with the calibrated probability; nothing where there is none."""
    diagnosis = findings.diagnosis
    if diagnosis.threshold is None:
        return ()
    values = {"score": signed(diagnosis.score), "point": signed(diagnosis.threshold)}
    if diagnosis.positive:
        decided = said(
            "The model reads these images as positive: the score {score} is not below the operating point {point}.",
            **values,
        )
    else:
        decided = said(
            "The model reads these images as negative: the score {score} is below the operating point {point}.",
            **values,
        )
    if (found := chance(findings)) is None:
        return (decided,)
    # No model knows that it is never wrong.
    if found < 0.005:
        return decided, gettext(
            "Of patients with such a score, fewer than 1 % are positive, where they are like those of validation."
        )
    if found > 0.995:
        return decided, gettext(
            "Of patients with such a score, more than 99 % are positive, where they are like those of validation."
        )
    often = said(
        "Of patients with such a score, about {share} are positive, where they are like those of validation.",
        share=percent(found, 0),
    )
    return decided, often


def _people(point: OperatingPoint) -> str:
    """By whom a point was chosen, as `OperatingPoint.chosen_by` says it in English."""
    values = {"positives": point.positives, "negatives": point.negatives, "data": gettext(point.chosen_on)}
    if point.people == point.positives:
        return said("{positives} positive sequences and {negatives} negative ones on {data}", **values)
    return said(
        "{positives} positive sequences of {people} patients and {negatives} negative ones on {data}",
        people=point.people, **values,
    )  # fmt: skip


def _interval(found: Interval) -> str:
    """As `Interval.percent` says it in English."""
    low, high = (decimal(f"{100 * each:.1f}") for each in (found.low, found.high))
    return said("{value} ({low} to {high})", value=percent(found.value), low=low, high=high)


def errors_of(point: OperatingPoint | None) -> tuple[str, ...]:
    """How often the model is wrong in which direction, as was found where the point was chosen; nothing if unknown."""
    if point is None or (measured := intervals(point)) is None:
        return ()
    missed, alarms = (round(100 * (1 - each.value)) for each in measured)
    people = {"positives": point.positives, "negatives": point.negatives, "data": gettext(point.chosen_on)}
    return (
        said(
            "It misses: of 100 patients who are positive, it called {count} negative (95 % interval {low} to {high}; "
            "{positives} positives on {data} data).",
            count=missed, low=round(100 * (1 - measured[0].high)), high=round(100 * (1 - measured[0].low)), **people,
        ),
        said(
            "It raises false alarms: of 100 patients who are negative, it called {count} positive (95 % interval {low} "
            "to {high}; {negatives} negatives on {data} data).",
            count=alarms, low=round(100 * (1 - measured[1].high)), high=round(100 * (1 - measured[1].low)), **people,
        ),
    )  # fmt: skip


def counted(frames: int) -> str:
    """1 frame, 2 frames."""
    return ngettext("{frames} frame", "{frames} frames", frames).format(frames=frames)


def meaning(findings: Findings, prevalence: float | None = None) -> tuple[str, ...]:
    """Sentences: what the decision is worth, and why it may seem to contradict the probability.

    prevalence: share of positives among patients like this one; that of validation by default. Raises InputError.
    """
    if not findings.diagnosis.decided:
        return () if findings.case is not None and findings.case.withheld else (_undecided(findings),)
    worth = "" if unusual(findings) else _predictive(findings, prevalence)
    return tuple(filter(None, (_both(findings, prevalence), worth, _shorter(findings))))


def chance(findings: Findings, prevalence: float | None = None) -> float | None:
    """The probability of a positive for such a score; where it is fitted on another prevalence, moved to this one.

    None without a temperature, and of unusual images. Odds are multiplied by how much likelier a positive is (Bayes).
    """
    found, scale = findings.diagnosis.probability, findings.purpose.temperature
    if found is None or unusual(findings):
        return None
    if prevalence is None or scale is None or not scale.positives or not scale.negatives or not 0 < found < 1:
        return found
    require_prevalence(prevalence)
    odds = found / (1 - found) * prevalence / (1 - prevalence) * scale.negatives / scale.positives
    return odds / (1 + odds)


def remarks(findings: Findings) -> tuple[str, ...]:
    """What decision and probability must not be read without, wherever they stand: in a table, a spreadsheet, JSON."""
    if not findings.diagnosis.decided:
        return unusual(findings) or (_undecided(findings),)
    return (*unusual(findings), *filter(None, (_both(findings, None), _shorter(findings))))


def unusual(findings: Findings) -> tuple[str, ...]:
    """What the case says about images that are unlike those of training."""
    case = findings.case
    if case is None or case.envelope != "outside":
        return ()
    end = gettext("So no decision is made.")
    if case.override:
        end = said("It was wanted nevertheless: {reason}", reason=case.override)
    words = said(
        "These images are unlike those that the model was trained on ({outside}), so the score may mean nothing, and "
        "no figure of the model speaks of them.",
        outside=retold_note(first_of(case.outside)),
    )
    return (f"{words} {end}",)


def noted(findings: Findings) -> tuple[str, ...]:
    """Why the frames stand as they do, and what was noticed when they were read; nothing if nobody knows."""
    case = findings.case
    if case is None or not case.order:
        return ()
    notes = (f"{note[0].upper()}{note[1:]}." for note in map(retold_note, case.notes) if note)
    return (said("Frames stand {order}.", order=retold_note(case.order)), *notes)


def origin(findings: Findings) -> str:
    """The same in one piece."""
    return " ".join(noted(findings))


def _undecided(findings: Findings) -> str:
    if findings.diagnosis.decision == "not assessable":
        return said(
            "Not assessable with {frames}. The model was found to tell positives from negatives with {assessable}; the "
            "score of others is no decision.",
            frames=counted(findings.frames), assessable=retold_note(findings.purpose.assessable),
        )  # fmt: skip
    return gettext("No decision: the program has no operating point, so its score says neither positive nor negative.")


def _both(findings: Findings, prevalence: float | None) -> str:
    """Decision and probability answer two questions; where they seem to differ, it is said why."""
    diagnosis, point = findings.diagnosis, findings.operating_point
    found = chance(findings, prevalence)
    if found is None or point is None or diagnosis.positive == (found >= 0.5):
        return ""
    if prevalence is not None:
        where = said("where {share} are", share=percent(prevalence))
    elif point.prevalence is None:
        where = said("on {data}", data=gettext(point.chosen_on))
    else:
        share = percent(point.prevalence, 0)
        where = said("on {data}, where {share} were positive", data=gettext(point.chosen_on), share=share)
    probability = said(
        "The probability of {chance} says how often patients with such a score are positive, {where}; the decision "
        "says whether the score reaches the operating point",
        chance=percent(found), where=where,
    )  # fmt: skip
    if diagnosis.positive:
        end = gettext(". That was set low, to miss few positives, so it is reached by many who are negative.")
    else:
        end = gettext(
            ", which nearly all positives did there. The two point in different directions, so take this negative as "
            "uncertain."
        )
    return probability + end


def _shorter(findings: Findings) -> str:
    """One temperature for all numbers of frames: what that means for fewer than all."""
    scale, frames = findings.purpose.temperature, findings.diagnosis.frames
    if chance(findings) is None or scale is None or frames is None:
        return ""
    return said(
        "The probability was fitted on whole {data} sequences; of {frames} it may lie closer to the middle than it "
        "should.",
        data=gettext(scale.fitted_on), frames=counted(frames),
    )  # fmt: skip


def _predictive(findings: Findings, prevalence: float | None) -> str:
    point = findings.operating_point
    found = None if point is None else predictive(point, prevalence)
    if point is None or found is None:
        return ""
    positive = findings.diagnosis.positive
    value, word = (found.positive, "positive") if positive else (found.negative, "negative")
    source = said("as on {data}", data=gettext(point.chosen_on)) if prevalence is None else gettext("as stated")
    words = {
        "positive": marked(
            "Where {share} of patients are positive ({source}), {value} of those called positive are positive, "
            "whatever their score (positive predictive value)."
        ),
        "negative": marked(
            "Where {share} of patients are positive ({source}), {value} of those called negative are negative, "
            "whatever their score (negative predictive value)."
        ),
    }
    return said(words[word], share=percent(found.prevalence), source=source, value=_interval(value))
