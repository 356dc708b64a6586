"""How a training went, as a picture: losses above, validation AUC below, over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from heclstm.model.epochs import Epoch
from heclstm.model.recipe import TrainConfig
from heclstm.report.charts import png, quiet
from heclstm.report.figure import INK, LOWERS, MUTED, RAISES, RULE

TICKS = (0, 0.25, 0.5, 0.75, 1, 2, 5, 10, 100, 1e3, 1e4, 1e6, 1e9)  # of losses


def learning_curve(epochs: Sequence[Epoch], config: TrainConfig) -> bytes:
    """A PNG. Shaded: while polynomials replace exact functions; dotted: where the average of the weights begins."""
    figure = Figure(figsize=(8.0, 6.0), facecolor="white", layout="constrained")
    losses, auc = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    numbers = range(1, len(epochs) + 1)
    losses.plot(numbers, [epoch.loss for epoch in epochs], color=INK, linewidth=2, label="loss, training")
    losses.plot(
        numbers, [epoch.validation_loss for epoch in epochs], color=RAISES, linewidth=2, label="loss, validation"
    )
    losses.plot(
        numbers, [epoch.penalty for epoch in epochs], color=MUTED, linewidth=1.4, linestyle="--", label="range penalty"
    )
    auc.plot(numbers, [epoch.validation_auc for epoch in epochs], color=LOWERS, linewidth=2)
    settings, whole = config.optimization, config.optimization.epochs
    polynomial = max(settings.activation_span[1], settings.gate_span[1]) * whole
    for axes in (losses, auc):
        quiet(axes)
        axes.axvspan(0.5, polynomial + 0.5, color=RULE, alpha=0.35, linewidth=0)
        axes.axvline(settings.average_from * whole + 0.5, color=MUTED, linewidth=1.2, linestyle=":")
    losses.set_yscale("symlog", linthresh=1.0)  # straight up to 1; one bad epoch does not hide the others
    losses.set_ylim(bottom=0)
    highest = losses.get_ylim()[1]
    ticks = [tick for tick in TICKS if tick <= highest]
    losses.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    losses.set_yticks([], minor=True)
    losses.set_ylabel("loss")
    losses.legend(loc="upper right", frameon=False, fontsize=9.5)
    auc.set(xlabel="epoch", ylabel="validation AUC", xlim=(0.5, whole + 0.5))
    auc.set_title(
        "shaded: polynomials replace ReLU, sigmoid and tanh; dotted: from here on weights are averaged",
        loc="left", fontsize=9, color=MUTED,
    )  # fmt: skip
    return png(figure)
