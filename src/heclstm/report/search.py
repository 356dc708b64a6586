"""What accuracy costs, as a picture: the AUC of each variant over levels, keys and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from heclstm.card.interval import Interval
from heclstm.report.charts import png, quiet
from heclstm.report.figure import INK, MUTED, RAISES, RULE


@dataclass(frozen=True)
class Point:
    """One variant. costs: by the names of `circuit.cost.Estimate`."""

    number: int
    name: str
    auc: Interval
    costs: Mapping[str, Any]
    work: float


def search_plot(points: Sequence[Point], chosen: int) -> bytes:
    """A PNG. Bars are the intervals of the AUC; the variant that is chosen stands out. Seconds where all are known."""
    figure = Figure(figsize=(11.0, 4.4), facecolor="white", layout="constrained")
    timed = all(point.costs["seconds"] is not None for point in points)
    least = min(point.work for point in points)
    panels = {
        "levels": [point.costs["depth"] for point in points],
        "evaluation keys (MB)": [point.costs["evaluation_key_bytes"] / 1e6 for point in points],
        "seconds of an evaluation, predicted" if timed else "work of an evaluation, beside the least": [
            point.costs["seconds"] if timed else point.work / least for point in points
        ],
    }
    all_axes = figure.subplots(1, len(panels), sharey=True)
    for axes, (title, places) in zip(all_axes, panels.items(), strict=True):
        quiet(axes)
        for point, place in zip(points, places, strict=True):
            auc, colour = point.auc, RAISES if point.number == chosen else INK
            axes.plot([place, place], [auc.low, auc.high], color=RULE, linewidth=2, zorder=1)
            axes.plot(place, auc.value, marker="o", markersize=13, color=colour, zorder=2)
            middle = {"ha": "center", "va": "center", "fontsize": 8, "color": "white", "zorder": 3}
            axes.annotate(str(point.number), (place, auc.value), **middle)
        axes.set_xlabel(title)
    all_axes[0].set_ylabel("AUC, cross-validated")
    legend = "\n".join(f"{point.number}  {point.name}" for point in points[:12])
    more = f"\n… and {len(points) - 12} more" if len(points) > 12 else ""
    figure.supxlabel(legend + more, fontsize=8.5, color=MUTED)
    return png(figure)
