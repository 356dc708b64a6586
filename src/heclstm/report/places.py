"""Where the parts of a diagnosis stand on its page: bars below frames, the score on its line; in per cent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from heclstm.report.findings import Findings
from heclstm.templates.language import gettext, said
from heclstm.templates.units import signed

ROOM = 8.0  # per cent above and below bars
COLUMNS, ROWS = 6, 4  # so many frames stand beside each other; more only where there would be more rows than that


@dataclass(frozen=True)
class Tile:
    """One frame. picture: a PNG, empty for padding. slices: which of them it shows. top, height: of its bar."""

    picture: bytes
    slices: str
    value: float
    top: float
    height: float

    @property
    def side(self) -> str:
        return "raises" if self.value >= 0 else "lowers"


@dataclass(frozen=True)
class Frames:
    """All of them. zero: where the axis of the bars stands."""

    tiles: tuple[Tile, ...]
    zero: float

    @property
    def rows(self) -> int:
        return min(ROWS, math.ceil(len(self.tiles) / COLUMNS))

    @property
    def columns(self) -> int:
        return math.ceil(len(self.tiles) / self.rows)


@dataclass(frozen=True)
class Mark:
    """A text at a place of the line. align: whether it begins, has its middle or ends there."""

    place: float
    align: str
    text: str = ""
    value: float = 0.0
    colour: str = ""


@dataclass(frozen=True)
class Line:
    """point: None where nothing is decided."""

    score: Mark
    point: Mark | None
    sides: tuple[Mark, ...]
    ends: tuple[Mark, ...]


def frames_of(findings: Findings, pictures: list[bytes], slices: int) -> Frames:
    """pictures: one for each contribution; those of padding are not shown. slices: of a volume in each frame."""
    values = [row[0] for row in findings.diagnosis.contributions]
    low, high = min(0.0, *values), max(0.0, *values)
    scale = (100 - 2 * ROOM) / max(high - low, 1e-6)
    zero = ROOM + high * scale
    real = findings.diagnosis.frames or len(values)
    tiles = []
    for number, (picture, value) in enumerate(zip(pictures, values, strict=True)):
        shown = _slices(number * slices + 1, (number + 1) * slices) if slices > 1 else ""
        top = zero - max(value, 0.0) * scale
        tiles.append(Tile(picture if number < real else b"", shown, value, round(top, 2), round(abs(value) * scale, 2)))
    return Frames(tuple(tiles), round(zero, 2))


def line_of(findings: Findings) -> Line:
    """From one end of the calibrated range to the other, or as wide as the numbers need."""
    diagnosis, known = findings.diagnosis, findings.purpose.limit("score")
    score, threshold = diagnosis.scores[0], diagnosis.threshold
    limit = 1.3 * max(abs(score), abs(threshold or 0.0), 1.0) if known is None else known

    def place(value: float) -> float:
        return round(min(100.0, max(0.0, 50 + 50 * value / limit)), 2)

    def mark(value: float) -> Mark:
        """Text near an end grows inwards."""
        share = value / limit
        return Mark(place(value), "first" if share < -0.6 else "last" if share > 0.6 else "middle", value=value)

    sides, ends = [], []
    for end, align, word, colour in (
        (-limit, "first", gettext("reads as negative"), "lowers"),
        (limit, "last", gettext("reads as positive"), "raises"),
    ):
        room = limit * 2 if threshold is None else abs(threshold - end)
        if threshold is not None and abs(score - end) > 0.4 * limit and room > 0.4 * limit:  # else the marker is there
            sides.append(Mark(place(end), align, word, colour=colour))
        if room > 0.7 * limit:
            ends.append(
                Mark(
                    place(end),
                    align,
                    signed(end, 1) if known is None else said("calibrated to {end}", end=signed(end, 1)),
                )
            )
    return Line(mark(score), None if threshold is None else mark(threshold), tuple(sides), tuple(ends))


def _slices(first: int, last: int) -> str:
    return said("slices {first}–{last}", first=first, last=last)
