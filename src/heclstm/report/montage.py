"""One frame → one picture: the slices of a volume side by side without their empty border, colour as colour."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation

Picture = NDArray[np.float32]
PAPER = 1.0  # between slices, and where none is left, in a grey picture; images are darker
BORDER = 2  # pixels left around the content


def montages(frames: Picture, preparation: Preparation | None) -> list[Picture]:
    """frames: (T, C, H, W) prepared. Each becomes (h, w) grey or (h, w, 3) colour, values in [0, 1].

    All frames of a volume are cut to one square around all that is not zero, so that they stay comparable.
    """
    kept = frames[:, : _channels(frames, preparation)]
    if preparation is not None and preparation.kind == "volume":
        return [_sheet(images) for images in _cropped(kept)]
    if kept.shape[1] == 3:
        return list(kept.transpose(0, 2, 3, 1))
    return [_sheet(images) for images in kept]


def _sheet(images: Picture) -> Picture:
    """Slices from left to right, then down; about twice as wide as tall."""
    columns = min(len(images), math.ceil(math.sqrt(2 * len(images))))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[1:]
    grain = max(1, 168 // width)  # so that the gap is a small part of a slice, whatever its size
    images = images.repeat(grain, axis=1).repeat(grain, axis=2)
    height, width, gap = height * grain, width * grain, 6 if len(images) > 1 else 0
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), PAPER, dtype=np.float32)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = 0.08 + 0.86 * image
    return sheet


def _channels(frames: Picture, preparation: Preparation | None) -> int:
    """How many channels hold images: `prepare` adds empty ones behind."""
    return int(frames.shape[1]) if preparation is None else preparation.cut[1]


def _cropped(frames: Picture) -> Picture:
    content = (frames != 0).any(axis=(0, 1))
    if not content.any():
        return frames
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 + 2 * BORDER
    return frames[..., _window(rows, side, frames.shape[2]), _window(columns, side, frames.shape[3])]


def _window(used: NDArray[np.intp], side: int, size: int) -> slice:
    """`side` pixels around the used ones, inside the image."""
    start = int(used[0] + used[-1] + 1 - side) // 2
    start = max(0, min(start, size - side))
    return slice(start, min(size, start + side))
