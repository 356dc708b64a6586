"""What a decision means, in sentences: for pages, pictures and the terminal alike."""

from __future__ import annotations

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.predictive import intervals, predictive, require_prevalence
from heclstm.deploy.usual import first_of
from heclstm.report.findings import Findings

__all__ = ["OperatingPoint", "chance", "counted", "meaning", "origin", "rates", "unusual"]


def rates(point: OperatingPoint | None) -> str:
    """How often decisions at this operating point were right where it was chosen, and by whom; empty if unknown."""
    if point is None or point.rates is None:
        return ""
    frames = f" of {counted(point.frames)}" if point.frames else ""
    if (measured := intervals(point)) is None:
        sensitivity, specificity = (f"{100 * rate:.0f} %" for rate in point.rates)
        return f"sensitivity {sensitivity}, specificity {specificity}{frames} on {point.chosen_on} data"
    sensitivity, specificity = (each.percent for each in measured)
    return f"sensitivity {sensitivity}, specificity {specificity}{frames}; chosen by {point.chosen_by}"


def counted(frames: int) -> str:
    """1 frame, 2 frames."""
    return f"{frames} frame{'' if frames == 1 else 's'}"


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


def unusual(findings: Findings) -> tuple[str, ...]:
    """What the case says about images that are unlike those of training."""
    case = findings.case
    if case is None or case.envelope != "outside":
        return ()
    end = f"It was wanted nevertheless: {case.override}" if case.override else "So no decision is made."
    return (
        f"These images are unlike those that the model was trained on ({first_of(case.outside)}), so the score may "
        f"mean nothing, and no figure of the model speaks of them. {end}",
    )


def origin(findings: Findings) -> str:
    """Why the frames stand as they do, and what was noticed when they were read; empty if nobody knows."""
    case = findings.case
    if case is None or not case.order:
        return ""
    return f"Frames stand {case.order}. " + " ".join(f"{note[0].upper()}{note[1:]}." for note in case.notes[:3] if note)


def _undecided(findings: Findings) -> str:
    if findings.diagnosis.decision == "not assessable":
        return (
            f"Not assessable with {counted(findings.frames)}. The model was found to tell positives from negatives "
            f"with {findings.purpose.assessable}; the score of others is no decision."
        )
    return "No decision: the program has no operating point, so its score says neither positive nor negative."


def _both(findings: Findings, prevalence: float | None) -> str:
    """Decision and probability answer two questions; where they seem to differ, it is said why."""
    diagnosis, point = findings.diagnosis, findings.operating_point
    found = chance(findings, prevalence)
    if found is None or point is None or diagnosis.positive == (found >= 0.5):
        return ""
    share = "" if point.prevalence is None else f", where {100 * point.prevalence:.0f} % were positive"
    where = f"on {point.chosen_on}{share}" if prevalence is None else f"where {100 * prevalence:.1f} % are"
    probability = (
        f"The probability of {100 * found:.1f} % says how often patients with such a score are positive, {where}; the "
        "decision says whether the score reaches the operating point"
    )
    if diagnosis.positive:
        return f"{probability}. That was set low, to miss few positives, so it is reached by many who are negative."
    return (
        f"{probability}, which nearly all positives did there. The two point in different directions, so take this "
        "negative as uncertain."
    )


def _shorter(findings: Findings) -> str:
    """One temperature for all numbers of frames: what that means for fewer than all."""
    scale, frames = findings.purpose.temperature, findings.diagnosis.frames
    if chance(findings) is None or scale is None or frames is None:
        return ""
    return (
        f"The probability was fitted on whole {scale.fitted_on} sequences; of {counted(frames)} it may lie closer to "
        "the middle than it should."
    )


def _predictive(findings: Findings, prevalence: float | None) -> str:
    point = findings.operating_point
    found = None if point is None else predictive(point, prevalence)
    if point is None or found is None:
        return ""
    positive = findings.diagnosis.positive
    value, word = (found.positive, "positive") if positive else (found.negative, "negative")
    source = f"as on {point.chosen_on}" if prevalence is None else "as stated"
    return (
        f"Where {100 * found.prevalence:.1f} % of patients are positive ({source}), {value.percent} of those called "
        f"{word} are {word}, whatever their score ({word} predictive value)."
    )
