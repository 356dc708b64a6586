"""An evaluation as one HTML page, which prints on four sheets at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.model.metrics import Measures
from heclstm.report import charts, charts_inside
from heclstm.report.evaluation import Evaluation
from heclstm.report.examples import choose, draw_examples
from heclstm.report.findings import credit
from heclstm.report.rendering import render
from heclstm.templates.units import seconds, signed

SHARES = (("Sensitivity", "sensitivity"), ("Missed diagnoses", "missed_rate"), ("Specificity", "specificity"),
          ("Accuracy", "accuracy"))  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """title: also what is read aloud instead of the picture. picture: SVG in the colours of the page."""

    picture: Markup
    title: str
    caption: str


def evaluation_page(evaluation: Evaluation, frames: NDArray[np.float32], preparation: Preparation | None) -> str:
    """frames: (B, T, C, H, W), the prepared sequences of the first fold, of which a few are shown."""
    measures, inside = evaluation.pooled.measures("clear"), evaluation.inside
    return render(
        "evaluation.html",
        title=f"{evaluation.dataset or 'Evaluation'}, {evaluation.split} part",
        subtitle=_subtitle(evaluation),
        cards=_cards(measures) if measures else [],
        decisions=_decisions(evaluation, measures) if measures else [],
        folds=_folds(evaluation) if len(evaluation.folds) > 1 else None,
        point_of_all=all_folds(evaluation),
        troubles=evaluation.troubles,
        encryption=_encryption(evaluation) if evaluation.agreements else None,
        inside=_inside(evaluation) if inside else [],
        examples=_examples(evaluation, frames, preparation) if inside else None,
        by_frames=_by_frames(evaluation),
        predictive=_predictive(evaluation),
        not_assessable=evaluation.not_assessable,
        warnings=evaluation.warnings,
        of_test_part=evaluation.split == "test",
        credit=credit(evaluation.attribution, evaluation.of_data_set),
    )


def _by_frames(evaluation: Evaluation) -> dict[str, Any] | None:
    """Head and rows: sequences cut to their first frames, at the operating point for so many."""
    rows: list[tuple[str, ...]] = []
    several = any(each.model for each in evaluation.by_frames)
    for each in evaluation.by_frames:
        area = "one outcome" if each.measures is None else str(each.measures.auc)
        rows.append((*((each.model,) if several else ()), str(each.frames), str(each.patients), area, *each.shares))
    head = ["First frames of a sequence", "Patients", "AUC", "Sensitivity", "Specificity"]
    return {"head": ["Model"] * several + head, "rows": rows} if rows else None


def _predictive(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Rows: at some prevalences, that of this part first."""
    rows = []
    for number, each in enumerate(evaluation.predictive):
        name = f"{100 * each.prevalence:.0f} %" + (", as here" if number == 0 else "")
        rows.append((name, each.positive.percent, each.negative.percent))
    return rows


def _subtitle(evaluation: Evaluation) -> str:
    pooled = evaluation.pooled
    patients = len(pooled.outcomes("clear")[0])
    lines = [f"{len(pooled.labels)} sequences", f"{int(pooled.labels.sum())} positive"]
    if patients != len(pooled.labels):
        lines.append(f"{patients} patients, counted once each")
    lines += [f"{name} {digest[:12]}" for name, digest in _digests(evaluation)]
    return "   ·   ".join(lines)


def _digests(evaluation: Evaluation) -> list[tuple[str, str]]:
    both = (("model", evaluation.model), ("program", evaluation.program))
    return [pair for pair in both if pair[1]]


def _cards(measures: Measures) -> list[dict[str, Any]]:
    cards = []
    for name, field in (("AUC", "auc"), *SHARES):
        found = getattr(measures, field)
        numbers = {"value": found.value, "low": found.low, "high": found.high}
        shown = {each: f"{value:.3f}" if field == "auc" else f"{100 * value:.1f} %" for each, value in numbers.items()}
        cards.append({"name": name, "strong": field == "missed_rate", **shown})
    return cards


def _decisions(evaluation: Evaluation, measures: Measures) -> list[Drawing]:
    chances = "" if evaluation.chances else " The model carries no temperature: run `heclstm calibrate`."
    error = (evaluation.probability or {}).get("calibration_error")
    if error is not None:
        chances = f" Expected calibration error {100 * error:.1f} %."
    roc = (
        "Sensitivity against false alarms at every threshold. The diamond is the operating point, chosen on validation "
        "data to miss few positives."
    )
    often = (
        "How often a predicted probability comes true, in groups of equal size with 95 % intervals; on the diagonal it "
        "is right."
    )
    spread = "Scores of positives (above) and negatives (below)."
    return [
        Drawing(charts.roc(evaluation), "ROC curve", roc),
        Drawing(charts.confusion(measures), "Confusion matrix", "Decisions at the operating point, by true label."),
        Drawing(charts.scores(evaluation), "Distribution of scores", spread),
        Drawing(charts.calibration(evaluation), "Calibration plot", often + chances),
    ]


def _inside(evaluation: Evaluation) -> list[Drawing]:
    inside = evaluation.inside
    assert inside is not None  # the caller looked
    count = len(evaluation.folds[0].labels)
    outside = max(inside.outside.values())
    votes = (
        "Grey: how much each frame counts in the vote. Lines: what frames contributed on average, with 95 % intervals. "
        f"In each frame, {100 * inside.alpha:.0f} % of the weight is on its own features, the rest on the memory."
    )
    limits = f"At most {outside} of {count} sequences leave a limit; polynomials are trusted only within it."
    if "score" in inside.outside:
        limits += f" A client refuses a result whose score does: {inside.outside['score']} of {count}."
    return [
        Drawing(charts_inside.votes(inside, evaluation.folds[0].labels), "Vote weights over time", votes),
        Drawing(charts_inside.ranges(inside), "Range margins of each layer", limits),
    ]


def _encryption(evaluation: Evaluation) -> dict[str, Any]:
    rows: list[tuple[str, ...]] = []
    for way, found in evaluation.agreements.items():
        difference = "" if found.auc_difference is None else signed(found.auc_difference, 5)
        same = f"{found.decisions_agree} ({100 * found.decisions_agree / found.sequences:.1f} %)"
        errors = (f"{found.worst_error:.1e}", f"{found.mean_error:.1e}")
        rows.append((way, str(found.sequences), same, *errors, difference, seconds(evaluation.seconds.get(way))))
    head = ["Scores", "Sequences", "Decisions as in clear", "Worst error", "Mean error", "AUC difference", "Time"]
    remarks = ["Compared with clear scores of the same sequences."]
    if evaluation.over_simulated is not None:
        remarks.append(f"Encrypted errors are {evaluation.over_simulated:.2f} times those of the noise model.")
    if evaluation.security and evaluation.security != "128":
        remarks.append(f"The parameters are {evaluation.security}: these figures are for tests only.")
    if evaluation.refused:
        remarks.append(f"{evaluation.refused} results were refused: they left the calibrated range.")
    caption = " ".join(remarks)
    drawing = Drawing(charts_inside.errors(evaluation), "Errors of scores", caption)
    return {"head": head, "rows": rows, "picture": drawing}


def all_folds(evaluation: Evaluation) -> str:
    """What out-of-fold scores choose, in a sentence; empty if there is nothing to say."""
    if (point := evaluation.point_of_all) is None or point.rates is None:
        return ""
    return (
        f"An operating point chosen on the scores of all folds for sensitivity {point.wanted_sensitivity:.2f} would be "
        f"{signed(point.threshold)}: sensitivity {point.rates[0]:.2f}, specificity {point.rates[1]:.2f}."
    )


def _folds(evaluation: Evaluation) -> dict[str, Any]:
    folds = {fold.name: fold.measures("clear") for fold in evaluation.folds}
    folds["pooled"] = evaluation.pooled.measures("clear")
    rows: list[tuple[str, ...]] = []
    for name, found in folds.items():
        if found is not None:
            values = (str(found.auc), *(str(getattr(found, field)) for _, field in SHARES))
            rows.append((name, str(found.total), *values))
    return {"head": ["Fold", "Patients", "AUC", *(name for name, _ in SHARES)], "rows": rows}


def _examples(evaluation: Evaluation, frames: NDArray[np.float32], preparation: Preparation | None) -> Drawing:
    fold, inside = evaluation.folds[0], evaluation.inside
    assert inside is not None  # the caller looked
    examples = choose(fold)
    picture = draw_examples(examples, fold, frames, inside.contributions, preparation, inside.real)
    what = "; ".join(f"{example.title}, sequence {example.row}" for example in examples)
    return Drawing(picture, "Extremes, not typical ones", f"{what}. Bars share one scale; their sum is the score.")
