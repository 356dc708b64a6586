"""An evaluation as one HTML page that needs nothing else: no script, no outside link, pictures inlined."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.model.intervals import Interval
from heclstm.model.metrics import Measures
from heclstm.report import charts, charts_inside
from heclstm.report.evaluation import Evaluation
from heclstm.report.examples import choose, draw_examples
from heclstm.report.findings import credit
from heclstm.report.page import document, rows_table
from heclstm.report.units import seconds, signed

STYLE = """
.cards { display: grid; grid-template-columns: repeat(5, 1fr); gap: .8rem; margin: 1.4rem 0 .4rem; }
.card { background: #f4f6f8; border-radius: 8px; padding: .8rem .9rem; }
.card b { display: block; font-size: 1.55rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: #5d6b79; font-size: .82rem; display: block; } .card.strong { background: #fbe9dc; }
figure { margin: 0; } figcaption { color: #5d6b79; font-size: .88rem; margin: .3rem 0 1rem; }
figure img { margin-top: 0; } h2 { break-after: avoid; } figure { break-inside: avoid; }
@media (max-width: 760px) { .cards { grid-template-columns: 1fr 1fr; } }
"""
SHARES = (("Sensitivity", "sensitivity"), ("Missed diagnoses", "missed_rate"), ("Specificity", "specificity"),
          ("Accuracy", "accuracy"))  # fmt: skip


def evaluation_page(evaluation: Evaluation, frames: NDArray[np.float32], preparation: Preparation | None) -> str:
    """frames: (B, T, C, H, W), the prepared sequences of the first fold, of which a few are shown."""
    pooled = evaluation.pooled
    measures = pooled.measures("clear")
    title = escape(f"{evaluation.dataset or 'Evaluation'}, {evaluation.split} part")
    parts = [f"<h1>{title}</h1>", f'<p class="muted">{escape(_subtitle(evaluation))}</p>']
    if measures is None:
        parts.append("<p>All sequences have the same label, so nothing can be said about decisions.</p>")
    else:
        parts += [_cards(measures), "<h2>What decisions are worth</h2>", _decisions(evaluation, measures)]
    if len(evaluation.folds) > 1:
        parts.append(f"<h2>Each fold</h2>{_folds(evaluation)}")
    if evaluation.agreements:
        parts.append(f"<h2>What encryption changes</h2>{_encryption(evaluation)}")
    if evaluation.inside is not None:
        parts += ["<h2>Inside the model</h2>", _inside(evaluation)]
        parts += ["<h2>Sequences to look at</h2>", _examples(evaluation, frames, preparation)]
    parts.append(f"<h2>How to read this</h2>{_reading(evaluation)}")
    return document(title, "\n".join(parts), STYLE)


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


def _cards(measures: Measures) -> str:
    def card(name: str, value: Interval, style: str, percent: bool) -> str:
        shown = [
            f"{100 * number:.1f} %" if percent else f"{number:.3f}" for number in (value.value, value.low, value.high)
        ]
        return (
            f'<div class="card{style}"><span>{name}</span><b>{shown[0]}</b><span>{shown[1]} to {shown[2]}</span></div>'
        )

    cards = [card("AUC", measures.auc, "", False)]
    for name, field in SHARES:
        cards.append(card(name, getattr(measures, field), " strong" if field == "missed_rate" else "", True))
    return f'<div class="cards">{"".join(cards)}</div><p class="muted">With 95 % intervals.</p>'


def _decisions(evaluation: Evaluation, measures: Measures) -> str:
    chances = "" if evaluation.chances else " The model carries no temperature: run <code>heclstm calibrate</code>."
    error = (evaluation.probability or {}).get("calibration_error")
    if error is not None:
        chances = f" Expected calibration error {100 * error:.1f} %."
    pictures = (
        (charts.roc(evaluation), "ROC curve", "Sensitivity against false alarms at every threshold. The diamond is "
         "the operating point, chosen on validation data to miss few positives."),
        (charts.confusion(measures), "Confusion matrix", "Decisions at the operating point, by true label."),
        (charts.scores(evaluation), "Distribution of scores", "Scores of positives (above) and negatives (below)."),
        (charts.calibration(evaluation), "Calibration plot", "How often a predicted probability comes true, in groups "
         "of equal size with 95 % intervals; on the diagonal it is right." + chances),
    )  # fmt: skip
    return _columns(pictures)


def _inside(evaluation: Evaluation) -> str:
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
    return _columns(
        (
            (charts_inside.votes(inside, evaluation.folds[0].labels), "Vote weights over time", votes),
            (charts_inside.ranges(inside), "Range margins of each layer", limits),
        )
    )


def _encryption(evaluation: Evaluation) -> str:
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
    picture = (charts_inside.errors(evaluation), "Errors of scores", caption)
    return rows_table(head, rows, left=1) + "<p></p>" + _picture(*picture)


def _folds(evaluation: Evaluation) -> str:
    folds = {fold.name: fold.measures("clear") for fold in evaluation.folds}
    folds["pooled"] = evaluation.pooled.measures("clear")
    rows: list[tuple[str, ...]] = []
    for name, found in folds.items():
        if found is not None:
            values = (str(found.auc), *(str(getattr(found, field)) for _, field in SHARES))
            rows.append((name, str(found.total), *values))
    note = "<p class='muted'>Pooled scores are counted from the operating point of their model.</p>"
    return rows_table(["Fold", "Patients", "AUC", *(name for name, _ in SHARES)], rows, left=1) + note


def _examples(evaluation: Evaluation, frames: NDArray[np.float32], preparation: Preparation | None) -> str:
    fold, inside = evaluation.folds[0], evaluation.inside
    assert inside is not None  # the caller looked
    examples = choose(fold)
    picture = draw_examples(examples, fold, frames, inside.contributions, preparation)
    what = "; ".join(f"{example.title}, sequence {example.row}" for example in examples)
    return _picture(picture, what, "Extremes, not typical ones. Bars share one scale; their sum is the score.")


def _reading(evaluation: Evaluation) -> str:
    lines = [
        "Scores are those of the model in clear, unless it says otherwise. Intervals: DeLong for the AUC, Wilson for "
        "shares. They speak of the patients that were drawn, not of other hospitals, scanners or populations.",
        "Missed diagnoses are positives below the operating point; the model owner chose it for a wanted sensitivity, "
        "and false alarms are its price.",
        "Research software, not a medical device; not for diagnosis.",
    ]
    if evaluation.split == "test":
        lines.insert(1, "The test part is for one look at a model that was chosen without it.")
    if line := credit(evaluation.attribution, evaluation.of_data_set):
        lines.append(line)
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _columns(pictures: tuple[tuple[bytes, str, str], ...]) -> str:
    return f'<div class="columns">{"".join(_picture(*picture) for picture in pictures)}</div>'


def _picture(content: bytes, alt: str, caption: str) -> str:
    image = b64encode(content).decode()
    head = f"<b>{escape(alt)}.</b> " if len(alt) < 40 else ""
    return (
        f'<figure><img src="data:image/png;base64,{image}" alt="{escape(alt)}">'
        f"<figcaption>{head}{caption}</figcaption></figure>"
    )
