"""Sequences to look at: one of each outcome, with what each frame contributed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.model.evaluate import Fold
from heclstm.report.figure import GAP, INK, LOWERS, MARGIN, RAISES, WIDTH, Page, bars_row, frames_row
from heclstm.report.montage import montages
from heclstm.report.vector import svg
from heclstm.templates.units import signed

HEAD, BARS, SPACE, TALLEST = 0.85, 1.25, 0.4, 2.2  # inches


@dataclass(frozen=True)
class Example:
    """A row of the evaluated part, and why it is shown."""

    row: int
    title: str
    positive: bool


def choose(fold: Fold) -> list[Example]:
    """The surest finding, the worst miss, the worst false alarm, the surest all-clear: those that exist."""
    scores, labels, decided = fold.scores["clear"], fold.labels == 1, fold.scores["clear"] >= fold.threshold
    wanted = (
        ("Found: the positive with the highest score", labels & decided, 1),
        ("Missed: the positive with the lowest score", labels & ~decided, -1),
        ("False alarm: the negative with the highest score", ~labels & decided, 1),
        ("Cleared: the negative with the lowest score", ~labels & ~decided, -1),
    )
    chosen = []
    for title, mask, side in wanted:
        rows = np.flatnonzero(mask)
        if len(rows):
            row = int(rows[np.argmax(side * scores[rows])])
            chosen.append(Example(row, title, bool(decided[row])))
    return chosen


def draw_examples(
    examples: list[Example],
    fold: Fold,
    frames: NDArray[np.float32],
    contributions: NDArray[np.float64],
    preparation: Preparation | None,
    real: NDArray[np.intp] | None = None,
) -> Markup:
    """All of them in one picture, in the page's colours; bars of all sequences are on one scale.

    real: frames that are no padding.
    """
    tiles = {example.row: montages(frames[example.row], preparation) for example in examples}
    count = len(frames[0])
    column = (WIDTH - 2 * MARGIN - GAP * (count - 1)) / count
    heights = [min(TALLEST, column * tiles[e.row][0].shape[0] / tiles[e.row][0].shape[1]) for e in examples]
    height = sum(HEAD + tall + BARS + SPACE for tall in heights)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    page, top = Page(figure, height), 0.0
    reach = max(float(np.abs(contributions[example.row]).max()) for example in examples)
    for example, tall in zip(examples, heights, strict=True):
        colour = RAISES if example.positive else LOWERS
        score = fold.scores["clear"][example.row]
        page.text(
            MARGIN, top + 0.36, f"{example.title} (sequence {example.row})", fontsize=13, fontweight="bold", color=INK
        )
        verdict = f"score {signed(score)}, operating point {signed(fold.threshold)}"
        page.text(WIDTH - MARGIN, top + 0.36, verdict, fontsize=12, fontweight="bold", ha="right", color=colour)
        shown = count if real is None else int(real[example.row])
        frames_row(page, preparation, tiles[example.row][:shown], column, top + HEAD, tall)
        bars_row(page, contributions[example.row], column, top + HEAD + tall + 0.16, BARS, reach, shown)
        top += HEAD + tall + BARS + SPACE
    return svg(figure)
