"""The picture of a diagnosis: frames, their contributions right below them, and the score against the
operating point.

Blue lowers the score and orange raises it, a pair that colour-blind readers tell apart; signs and arrows say
the same.
"""

from __future__ import annotations

import math
import textwrap
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from heclstm.card.preparation import Preparation
from heclstm.report.findings import Findings
from heclstm.report.montage import PAPER, montages
from heclstm.report.words import counted, meaning, noted, unusual
from heclstm.templates.units import error, signed

if TYPE_CHECKING:
    from heclstm.data.sequence import ImageSequence
    from heclstm.deploy.diagnosis import Diagnosis

RAISES, LOWERS, UNDECIDED = "#a84803", "#1a63a0", "#4b5763"  # as in templates/style.css
RAISES_PALE, LOWERS_PALE = "#fbe9dc", "#e1edf7"
INK, MUTED, RULE = "#1c2733", "#55636f", "#c9d1d9"
WIDTH, MARGIN, GAP = 12.0, 0.55, 0.28  # inches
HEADER, BARS, LINE, FOOTER, SPACE, TALLEST = 1.35, 1.65, 1.3, 0.6, 0.5, 3.0
CREDIT_LINE, TEXT = 0.17, 0.2
DISCLAIMER = "Research software, not a medical device; not for diagnosis."


def draw(
    findings: Findings,
    sequence: ImageSequence,
    dots_per_inch: int = 160,
    *,
    kind: Literal["png", "pdf"] = "png",
    of_data_set: bool = False,
    prevalence: float | None = None,
) -> bytes:
    """The picture as PNG, or as one page of PDF. of_data_set: these images are of the model's data set, not a
    hospital's own. prevalence: as on the page.
    """
    tiles = montages(sequence.frames, findings.purpose.preparation)[: findings.frames]
    count = len(findings.diagnosis.contributions)
    column = (WIDTH - 2 * MARGIN - GAP * (count - 1)) / count
    tall = min(TALLEST, column * tiles[0].shape[0] / tiles[0].shape[1])
    bars = HEADER + tall + SPACE
    line = bars + BARS + SPACE
    credit = textwrap.wrap(findings.credit(of_data_set), 160)
    sentences = (*unusual(findings), *meaning(findings, prevalence), *noted(findings))
    said = [text for sentence in sentences for text in textwrap.wrap(sentence, 150)]
    height = line + LINE + TEXT * (len(said) + 1) + FOOTER + CREDIT_LINE * len(credit)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    page = Page(figure, height)
    _header(page, findings)
    frames_row(page, findings.purpose.preparation, tiles, column, HEADER, tall)
    _bars(page, findings, bars, column)
    _line(page, findings, line)
    for number, text in enumerate(said):
        page.text(MARGIN, line + LINE + 0.28 + TEXT * number, text, fontsize=10)
    _footer(page, credit)
    buffer = BytesIO()
    FigureCanvasAgg(figure)  # no window system, no global state
    figure.savefig(buffer, format=kind, dpi=dots_per_inch)
    return buffer.getvalue()


class Page:
    """Places axes and text in inches from the upper left corner."""

    def __init__(self, figure: Figure, height: float) -> None:
        self.figure, self.height = figure, height

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        box = (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        style = {"color": INK, "va": "baseline", "parse_math": False, **style}  # names are no formulas
        self.figure.text(left / WIDTH, 1 - top / self.height, text, **style)


def _header(page: Page, findings: Findings) -> None:
    diagnosis = findings.diagnosis
    page.text(MARGIN, 0.52, diagnosis.name or "Image sequence", fontsize=17, fontweight="bold")
    parts = [f"Diagnosed under encryption by program {findings.program[:12]}"]
    if findings.truth is not None:
        parts.append(f"true label: {'positive' if findings.truth else 'negative'}")
    if (preparation := findings.purpose.preparation) is not None and preparation.kind == "volume":
        parts.append("images without their empty border")
    page.text(MARGIN, 0.82, "   ·   ".join(parts), fontsize=10.5, color=MUTED)
    badge = page.axes(WIDTH - MARGIN - 2.1, 0.27, 2.1, 0.6)
    badge.set_axis_off()
    badge.set(xlim=(0, 2.1), ylim=(0, 0.6))
    badge.add_patch(
        FancyBboxPatch(
            (0.0, 0.03), 2.1, 0.54, "round,pad=0,rounding_size=0.1", facecolor=colour_of(diagnosis), edgecolor="none"
        )
    )
    badge.text(
        1.05,
        0.285,
        diagnosis.decision.upper(),
        color="white",
        fontsize=15 if diagnosis.decided else 12,
        fontweight="bold",
        ha="center",
        va="center",
    )


def frames_row(
    page: Page, preparation: Preparation | None, tiles: list[Any], column: float, top: float, tall: float
) -> None:
    """The frames side by side, `tall` inches high, their names above them."""
    slices = 1 if preparation is None else preparation.slices_per_frame
    for index, tile in enumerate(tiles):  # those of real frames: padding is no picture
        wide = tall * tile.shape[1] / tile.shape[0]
        left = MARGIN + index * (column + GAP) + (column - wide) / 2
        axes = page.axes(left, top, wide, tall)
        shown = np.ma.masked_greater_equal(tile, PAPER) if tile.ndim == 2 else tile  # what is no image shows the page
        axes.imshow(shown, vmin=0, vmax=1, cmap="gray", interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        page.text(left, top - 0.1, f"Frame {index + 1}", fontsize=11, fontweight="bold")
        if slices > 1:
            label = f"slices {index * slices + 1}–{(index + 1) * slices}"
            page.text(left + wide, top - 0.1, label, fontsize=9.5, color=MUTED, ha="right")


def _bars(page: Page, findings: Findings, top: float, column: float) -> None:
    """One bar below each frame, all on one scale."""
    values = np.array([row[0] for row in findings.diagnosis.contributions])
    page.text(MARGIN, top + 0.02, "What each frame contributed to the score", fontsize=11.5, fontweight="bold")
    bars_row(page, values, column, top + 0.14, BARS, real=findings.diagnosis.frames)
    remark = "each frame speaks with the memory of those before it; the sum is the score"
    page.text(WIDTH - MARGIN, top + 0.02, remark, fontsize=10, ha="right", color=MUTED)


def bars_row(
    page: Page, values: Any, column: float, top: float, tall: float, reach: float = 0.0, real: int | None = None
) -> None:
    """One bar for each frame; reach: the value that the scale is made for, the largest of these by default.

    real: how many frames there were; where bars of the others would stand, the word "padding" does.
    """
    axes = page.axes(MARGIN, top, WIDTH - 2 * MARGIN, tall)
    centers = [number * (column + GAP) + column / 2 for number in range(len(values))]
    colours = [RAISES if value >= 0 else LOWERS for value in values]
    axes.bar(centers, values, width=0.42 * column, color=colours, linewidth=0, zorder=2)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=3)
    reach = max(float(np.abs(values).max()), reach, 1e-6)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    axes.set(xlim=(0, WIDTH - 2 * MARGIN), ylim=(low - 0.26 * reach, high + 0.26 * reach))
    for center in centers[real:] if real is not None else ():
        axes.text(center, 0.05 * reach, "padding", ha="center", va="bottom", fontsize=10, color=MUTED)
    for center, value in list(zip(centers, values, strict=True))[:real]:
        side = 1 if value >= 0 else -1
        style = {"ha": "center", "va": "bottom" if side > 0 else "top", "fontsize": 11, "color": INK}
        axes.text(center, value + side * 0.05 * reach, signed(value), **style)
    axes.set_axis_off()


def _line(page: Page, findings: Findings, top: float) -> None:
    """The score and the operating point on a line from one end of the calibrated range to the other."""
    diagnosis = findings.diagnosis
    score, threshold = diagnosis.scores[0], diagnosis.threshold
    limit = _limit(findings)
    known = "" if findings.purpose.limit("score") is None else "calibrated to "
    title = "The score against the operating point" if diagnosis.decided else "The score, which is no decision"
    page.text(MARGIN, top + 0.02, title, fontsize=11.5, fontweight="bold")
    if findings.clear is not None:
        clear, difference = signed(findings.clear.scores[0]), error(findings.error)
        comparison = f"in clear {clear}   ·   decrypted {signed(score)}   ·   error {difference}"
        page.text(WIDTH - MARGIN, top + 0.02, comparison, fontsize=10, color=MUTED, ha="right")
    axes = page.axes(MARGIN, top + 0.1, WIDTH - 2 * MARGIN, LINE)
    axes.set(xlim=(-limit, limit), ylim=(-1.3, 1.3))
    if threshold is None:
        axes.axvspan(-limit, limit, 0.38, 0.62, color=RULE, alpha=0.35, linewidth=0)
    else:
        _sides(axes, score, threshold, limit)
        note = {"ha": _side(threshold, limit), "va": "top", "fontsize": 10, "linespacing": 1.35, "color": INK}
        axes.text(threshold, -0.5, _operating_point(findings, threshold), **note)
    for end, side in ((-limit, "left"), (limit, "right")):
        if threshold is None or abs(threshold - end) > 0.6 * limit:
            axes.text(end, -0.5, f"{known}{signed(end, 1)}", ha=side, va="top", fontsize=9.5, color=MUTED)
    colour = colour_of(diagnosis)
    diamond = {"marker": "D", "markersize": 12, "markeredgecolor": "white", "markeredgewidth": 1.5}
    place = max(-limit, min(limit, score))  # a diagnosis that somebody altered may lie anywhere
    axes.plot([place], [0], color=colour, zorder=4, **diamond)
    label = {"ha": _side(score, limit), "va": "bottom", "fontsize": 12, "fontweight": "bold", "color": colour}
    axes.text(place, 0.5, f"score {signed(score)}", **label)
    axes.set_axis_off()


def _sides(axes: Any, score: float, threshold: float, limit: float) -> None:
    """What is negative and what is positive, on both sides of the operating point."""
    axes.axvspan(-limit, threshold, 0.38, 0.62, color=LOWERS_PALE, linewidth=0)
    axes.axvspan(threshold, limit, 0.38, 0.62, color=RAISES_PALE, linewidth=0)
    axes.plot([threshold, threshold], [-0.42, 0.42], color=INK, linewidth=1.8, solid_capstyle="butt")
    for end, word, side, colour in ((-limit, "negative", "left", LOWERS), (limit, "positive", "right", RAISES)):
        if abs(score - end) > 0.25 * limit:  # else the marker stands there
            place = end - math.copysign(0.014 * limit, end)
            axes.text(place, 0, word, color=colour, va="center_baseline", ha=side, fontsize=11, fontweight="bold")


def colour_of(diagnosis: Diagnosis) -> str:
    """Of the decision."""
    return UNDECIDED if diagnosis.positive is None else RAISES if diagnosis.positive else LOWERS


def _limit(findings: Findings) -> float:
    """Half the width of the line: the calibrated range, or what the numbers need."""
    if (limit := findings.purpose.limit("score")) is not None:
        return limit
    return 1.3 * max(abs(findings.diagnosis.scores[0]), abs(findings.diagnosis.threshold or 0.0), 1.0)


def _operating_point(findings: Findings, threshold: float) -> str:
    text, point = f"operating point {signed(threshold)}", findings.operating_point
    if point is not None and point.rates is not None:
        sensitivity, specificity = point.rates
        rates = f"sensitivity {100 * sensitivity:.0f} %, specificity {100 * specificity:.0f} %"
        text += f"\n{rates} on {point.chosen_on} data" + (f", {counted(point.frames)}" if point.frames else "")
    return text


def _side(value: float, limit: float) -> str:
    """Text near an end grows inwards."""
    return "left" if value < -0.7 * limit else "right" if value > 0.7 * limit else "center"


def _footer(page: Page, credit: list[str]) -> None:
    page.text(MARGIN, page.height - 0.25, DISCLAIMER, fontsize=11, fontweight="bold")
    for number, line in enumerate(reversed(credit)):
        page.text(MARGIN, page.height - 0.52 - CREDIT_LINE * number, line, fontsize=8.5, color=MUTED)
