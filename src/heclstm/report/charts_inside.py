"""The drawings of an evaluation that look behind its decisions: votes, ranges, and errors of encryption."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from heclstm.report.charts import HALF, WAY_STYLES, chart, percent
from heclstm.report.evaluation import Evaluation, Inside
from heclstm.report.figure import INK, LOWERS, RAISES, RAISES_PALE, RULE
from heclstm.report.vector import svg


def votes(inside: Inside, labels: Any) -> Markup:
    """The weight of each frame in the vote, and what frames contributed to scores of both outcomes."""
    figure, axes = chart(*HALF)
    steps = np.arange(1, len(inside.votes) + 1)
    axes.bar(steps, inside.votes, 0.62, color=RULE, linewidth=0, label="weight in the vote")
    for label, colour, marker, word in ((1, RAISES, "D", "positives"), (0, LOWERS, "o", "negatives")):
        rows = inside.contributions[labels == label]
        if len(rows):
            mean, error = rows.mean(axis=0), 1.96 * rows.std(axis=0) / np.sqrt(len(rows))
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 7, "linewidth": 1.8, "capsize": 3}
            axes.errorbar(steps, mean, error, label=f"mean contribution, {word}", **style)
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.set(xlabel="frame, and its weight in the vote", ylabel="weight, contribution to the score", xticks=steps)
    axes.set_xticklabels([f"{step}\n{weight:.2f}" for step, weight in zip(steps, inside.votes, strict=True)])
    axes.margins(y=0.2)
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    return svg(figure)


def ranges(inside: Inside) -> Markup:
    """How close each layer came to its calibrated limit; what passed it is counted beside its bar."""
    figure, axes = chart(*HALF)
    names, shares = list(inside.margins), np.array(list(inside.margins.values()))
    places = np.arange(len(names))[::-1]
    axes.barh(places, shares, 0.66, color=[RAISES if share > 1 else RULE for share in shares], linewidth=0)
    axes.axvline(1, color=INK, linewidth=1.4)
    for place, name, share in zip(places, names, shares, strict=True):
        count, pad = inside.outside[name], 0.015 * max(1.0, shares.max())
        within = 0.25 * max(1.0, shares.max()) < share <= 1  # room for its number inside the bar, off the limit
        style: dict[str, Any] = {"va": "center", "fontsize": 9}
        if within:
            axes.text(share - pad, place, percent(share), ha="right", color=INK, **style)
        beyond = [percent(share)] * (not within) + [f"{count} outside"] * (count > 0)
        axes.text(share + pad, place, ", ".join(beyond), ha="left", color=INK, **style)
    axes.set(yticks=places, xlim=(0, 1.32 * max(1.0, shares.max())), xlabel="largest value as a share of the limit")
    axes.set_yticklabels(names, fontsize=9.5)
    axes.xaxis.set_major_formatter(lambda value, _: percent(value))
    axes.text(1, len(names) - 0.42, " limit", ha="left", va="bottom", fontsize=9.5, color=INK)
    axes.set_ylim(-0.6, len(names) + 0.1)
    return svg(figure)


def errors(evaluation: Evaluation) -> Markup:
    """Each score's error against its distance from the operating point; a decision flips beyond the slanted lines."""
    figure, axes = chart(2 * HALF[0], 3.6)
    pooled, smallest = evaluation.pooled, 1e-7
    distance = np.abs(pooled.scores["clear"] - pooled.threshold)
    for way, marker, size in (("simulated", "o", 14), ("encrypted", "D", 20)):
        if way in evaluation.agreements:
            error = np.abs(pooled.scores[way] - pooled.scores["clear"])
            colour = WAY_STYLES[way][0]
            found = evaluation.agreements[way]
            label = f"{way}: {found.decisions_agree} of {found.sequences} decisions as in clear"
            style: dict[str, Any] = {"color": colour, "marker": marker, "alpha": 0.75, "linewidth": 0, "label": label}
            axes.scatter(distance, np.maximum(error, smallest), size, **style)
    reach = np.array([max(smallest, 0.5 * distance.min()), 1.5 * distance.max()])
    axes.fill_between(reach, reach, 1e3, color=RAISES_PALE, linewidth=0, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=reach, xlabel="distance of the clear score from the operating point")
    drawn = [np.abs(pooled.scores[way] - pooled.scores["clear"]) for way in evaluation.agreements]
    finite = np.concatenate([np.maximum(error[np.isfinite(error)], smallest) for error in drawn])
    axes.set(ylabel="error of the score", ylim=(finite.min() / 2, max(20 * finite.max(), 3 * reach[0])))
    axes.text(0.012, 0.95, "a decision may flip here", transform=axes.transAxes, va="top", fontsize=9.5, color=RAISES)
    axes.legend(loc="upper right", frameon=False, fontsize=9.5)
    return svg(figure)
