"""Accuracy over costs as a plot. No torch."""

from pathlib import Path
from typing import Any


def plot(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Cross-validated AUC over levels, megabytes of keys and seconds; what nothing else beats is joined by a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.2), sharey=True, layout="constrained")
    axis_titles = {"levels": "levels", "key_megabytes": "evaluation keys (MB)", "seconds": "seconds, predicted"}
    numbers = {name: str(k) for k, name in enumerate(rows, 1)}
    for axis, (quantity, title) in zip(axes, axis_titles.items(), strict=True):
        known = {name: row for name, row in rows.items() if row[quantity] is not None}
        points = {name: (row[quantity], row["auc"]["mean"]) for name, row in known.items()}
        best = front(points)
        axis.plot(*zip(*[points[name] for name in best], strict=True), color="#0072b2", lw=1.2, zorder=1)
        for name, (x, y) in points.items():
            colour = "#0072b2" if name in best else "#999999"
            axis.scatter(x, y, s=150, color=colour, zorder=2)
            axis.annotate(numbers[name], (x, y), color="white", ha="center", va="center", fontsize=8, zorder=3)
        axis.set_xlabel(title)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("AUC, 5-fold cross-validation")
    legend = "   ".join(f"{numbers[name]} {row['title']}" for name, row in rows.items())
    figure.suptitle("AdrenalMNIST3D: what accuracy costs under encryption", fontsize=11)
    figure.supxlabel(_wrapped(legend, 150), fontsize=8)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def front(points: dict[str, tuple[float, float]]) -> list[str]:
    """Names of the points that no other beats in both, from cheap to dear."""
    kept: list[str] = []
    for name in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        if not kept or points[name][1] > points[kept[-1]][1]:
            kept.append(name)
    return kept


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for part in text.split("   "):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part + "   "
    return "\n".join(line.strip() for line in lines)
