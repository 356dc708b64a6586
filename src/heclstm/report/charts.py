"""The drawings of an evaluation that show what decisions are worth, each an SVG in the colours of its page.

Orange stands for positives and for what raises a score, blue for negatives and what lowers it, as in
`report.figure`; shapes, dashes and words say the same.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from heclstm.model.metrics import Measures, roc_curve
from heclstm.model.temperature import reliability
from heclstm.report.evaluation import Evaluation
from heclstm.report.figure import INK, LOWERS, MUTED, RAISES, RULE
from heclstm.report.vector import FILL, svg
from heclstm.templates.units import signed

WAY_STYLES = {"clear": (INK, "-", 2.6), "simulated": (FILL, "--", 2.0), "encrypted": (RAISES, ":", 2.4)}
HALF = (5.4, 4.5)  # inches: two beside each other on a page
DOTS_PER_INCH = 170


def roc(evaluation: Evaluation) -> Markup:
    """One curve for each way that was taken for all sequences, thin ones for folds, and the operating point."""
    figure, axes = chart(*HALF)
    pooled = evaluation.pooled
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    if len(evaluation.folds) > 1:
        for number, fold in enumerate(evaluation.folds):
            label = "each fold" if number == 0 else None
            if fold.measures("clear"):  # else one outcome only, which has no curve
                axes.plot(*roc_curve(*fold.outcomes("clear")), color=RULE, linewidth=1.1, label=label)
    for way in evaluation.whole_ways:
        found = pooled.measures(way)
        if found is not None:
            colour, dashes, width = WAY_STYLES[way]
            style: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": width}
            axes.step(*roc_curve(*pooled.outcomes(way)), label=f"{way}: AUC {found.auc}", **style)
    found = pooled.measures("clear")
    if found is not None:
        place = 1 - found.specificity.value, found.sensitivity.value
        axes.plot(*place, marker="D", markersize=9, color=RAISES, markeredgecolor="white", zorder=5)
        note = f"operating point: {percent(place[1])} found,\n{percent(place[0])} of negatives are false alarms"
        leader = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkB": 6}
        below = {"xytext": (0.985, 0.37), "ha": "right", "va": "top", "arrowprops": leader}  # no curve comes here
        axes.annotate(note, place, fontsize=9.5, color=INK, **below)
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), xlabel="share of false alarms", ylabel="sensitivity")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return svg(figure)


def confusion(measures: Measures) -> Markup:
    """Four counts; the deeper the colour, the larger the share of its row: never so deep that its words are lost."""
    figure, axes = chart(*HALF)
    cells = [
        [(measures.true_positives, "found", RAISES), (measures.missed, "missed", RAISES)],
        [(measures.false_alarms, "false alarms", LOWERS), (measures.true_negatives, "cleared", LOWERS)],
    ]
    for row, pair in enumerate(cells):
        total = max(1, sum(count for count, _, _ in pair))
        for column, (count, word, colour) in enumerate(pair):
            share = count / total
            box = Rectangle(
                (column + 0.02, 1.02 - row), 0.96, 0.96, color=colour, alpha=0.06 + 0.4 * share, linewidth=0
            )
            axes.add_patch(box)
            centre = {"ha": "center", "color": INK}
            axes.text(column + 0.5, 1.52 - row, str(count), fontsize=27, fontweight="bold", va="center", **centre)
            axes.text(column + 0.5, 1.25 - row, f"{word}, {percent(share)}", fontsize=10.5, va="center", **centre)
    axes.set(xlim=(0, 2), ylim=(0, 2), xticks=(0.5, 1.5), yticks=(1.5, 0.5))
    axes.set_xticklabels(["decided positive", "decided negative"], fontsize=11)
    positives, negatives = measures.true_positives + measures.missed, measures.true_negatives + measures.false_alarms
    axes.set_yticklabels([f"positive\n({positives})", f"negative\n({negatives})"], fontsize=11)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    for spine in axes.spines.values():
        spine.set_visible(False)
    return svg(figure)


def scores(evaluation: Evaluation) -> Markup:
    """How scores of both outcomes spread around the operating point."""
    figure, axes = chart(*HALF)
    pooled = evaluation.pooled
    values, labels = pooled.outcomes("clear")
    edges = np.linspace(values.min(), values.max() + 1e-9, 31)
    tallest = 0.0
    for label, colour, word, sign in ((1, RAISES, "positives", 1), (0, LOWERS, "negatives", -1)):
        counts, _ = np.histogram(values[labels == label], edges)
        axes.bar(edges[:-1], sign * counts, np.diff(edges) * 0.92, align="edge", color=colour, linewidth=0, label=word)
        tallest = max(tallest, float(counts.max()))
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.axvline(pooled.threshold, color=INK, linewidth=1.6)
    right = pooled.threshold < (values.min() + values.max()) / 2  # towards the wider side
    note = f"  operating point {signed(pooled.threshold)}  "
    side = "left" if right else "right"
    axes.text(pooled.threshold, 1.25 * tallest, note, ha=side, va="top", fontsize=9.5, color=INK)
    axes.set(xlabel="score", ylabel="negatives below, positives above", ylim=(-1.28 * tallest, 1.28 * tallest))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.legend(loc="lower left", frameon=False, fontsize=9.5)
    return svg(figure)


def calibration(evaluation: Evaluation) -> Markup:
    """Shares of positives in groups of equal size against their probability; the first is what the raw score says."""
    figure, axes = chart(*HALF)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    clear = [fold.outcomes("clear") for fold in evaluation.folds]
    labels = np.concatenate([part for _, part in clear])
    raw = 1 / (1 + np.exp(-np.concatenate([part for part, _ in clear])))
    curves = [(raw, labels, MUTED, "o", "score as it is", 0.55)]
    if (found := evaluation.chances) is not None:
        curves.append((*found, RAISES, "D", "with temperature and offset", 1.0))
    for chances, truth, colour, marker, name, strength in curves:
        groups = reliability(chances, truth)
        means, shares = [mean for mean, _, _ in groups], [share for _, share, _ in groups]
        bars = np.abs(np.array([[share.value - share.low, share.high - share.value] for share in shares])).T
        style: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "markersize": 6,
            "linewidth": 1.6,
            "alpha": strength,
        }
        axes.errorbar(means, [share.value for share in shares], bars, elinewidth=1, capsize=2.5, label=name, **style)
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), xlabel="predicted probability", ylabel="share of positives")
    axes.legend(loc="upper left", frameon=False, fontsize=9.5)
    return svg(figure)


def chart(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of so many inches with one pair of axes, drawn as quietly as all of them."""
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    return figure, quiet(figure.add_subplot())


def quiet(axes: Any) -> Any:
    """The same axes without what nobody looks at."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(RULE)
    axes.tick_params(colors=MUTED, labelsize=9.5, labelcolor=INK)
    axes.xaxis.label.set(color=INK, fontsize=10.5)
    axes.yaxis.label.set(color=INK, fontsize=10.5)
    return axes


def png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)  # no window system, no global state
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
