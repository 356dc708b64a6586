"""Frames of any number, size and colour → those of a `Preparation`: the steps that a model owner opts in to.

    7 pictures of 700×460 in colour   sampled: 4 of them   grey: (1, 460, 700)   cropped and resized: (1, 64, 64)
    2 pictures of 64×64 in grey       padded: the last is repeated; 2 real frames of 4

Padding stands behind the real frames. A frame's contribution depends on itself and on those before, never on those
behind it (a model's cell must say so), so padding leaves every real contribution alone; it only must not vote. In
clear it is masked; under encryption the result carries each frame's contribution, and the hospital adds up those of
its real frames. So a mask costs no level, and the server does not learn how many frames were real. Repeated frames
and not black ones, since the server computes them all, and values must stay in the calibrated ranges there too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.sequence import require_finite
from heclstm.errors import SequenceError

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow and most cameras use it


def fit(raw: Any, preparation: Preparation, name: str) -> tuple[NDArray[Any], int]:
    """Raw frames → an array of the shape `preparation.source`, and how many of its frames are real.

    raw: what `image_array` takes for each frame, (channels, height, width) or (height, width). Raises
    SequenceError.
    """
    if isinstance(raw, np.ndarray) and raw.ndim == 0:
        raise SequenceError(f"{name}: no image: got a single number, expected frames")
    frames = _chosen([_frame(frame, name) for frame in raw], preparation, name)
    if len({frame.dtype.kind for frame in frames}) > 1:
        raise SequenceError(f"{name}: got some frames of whole numbers and some of floating point, expected one kind")
    _, channels, height, width = preparation.source
    if preparation.colour != "as_is":
        frames = [_coloured(frame, channels, name) for frame in frames]
    if preparation.resize != "none":
        from heclstm.data.pictures import resized

        frames = [resized(frame, height, width, preparation.resize) for frame in frames]
    if len(shapes := {frame.shape for frame in frames}) > 1:
        raise SequenceError(
            f"{name}: got frames of different sizes {', '.join(sorted(map(str, shapes)))} (channels, height, width); "
            "resample them, or train with preparation.resize and preparation.colour"
        )
    real = len(frames)
    return np.stack(frames + frames[-1:] * (preparation.frames - real)), real


def image_array(raw: Any, name: str) -> NDArray[Any]:
    """An array of bool, uint8 or floating point; nothing else is an image."""
    try:
        values = np.asarray(raw)
    except ValueError as error:  # nested lists of different lengths
        raise SequenceError(f"{name}: no image: frames of different sizes; resample them to one size") from error
    if not (values.dtype == np.bool_ or values.dtype == np.uint8 or values.dtype.kind == "f"):
        raise SequenceError(
            f"{name}: no image: got values of type {values.dtype}, expected bool, uint8 or floating "
            "point in [0, 1]; window and convert other data first"
        )
    return values


def _frame(raw: Any, name: str) -> NDArray[Any]:
    frame = image_array(raw, name)
    if frame.ndim not in (2, 3) or 0 in frame.shape:
        raise SequenceError(
            f"{name}: got a frame of shape {frame.shape}, expected (channels, height, width), or (height, width)"
        )
    if frame.dtype == np.bool_:
        frame = frame.astype(np.uint8) * np.uint8(255)
    elif frame.dtype.kind == "f":
        require_finite(frame, name)  # before it is averaged with its neighbours
    return frame[None] if frame.ndim == 2 else frame


def _chosen(frames: list[NDArray[Any]], preparation: Preparation, name: str) -> list[NDArray[Any]]:
    """At most as many frames as the model takes: evenly spaced ones, the first and the last among them."""
    count, wanted = len(frames), preparation.frames
    if count == 0:
        raise SequenceError(f"{name}: got 0 frames, expected 1 or more")
    if preparation.length == "exact" and count != wanted:
        raise SequenceError(f"{name}: number of frames: got {count}, expected {wanted}")
    if count <= wanted:
        return frames
    if preparation.length == "pad":
        raise SequenceError(
            f"{name}: number of frames: got {count}, expected at most {wanted}; "
            "choose some, or train with preparation.length = 'sample'"
        )
    return [frames[row] for row in evenly(count, wanted)]


def evenly(count: int, wanted: int) -> list[int]:
    """Which of `count` frames are used: all, or `wanted` evenly spaced ones, the first and the last among them."""
    rows: list[int] = np.rint(np.linspace(0, count - 1, min(count, wanted))).astype(int).tolist()
    return rows


def _coloured(frame: NDArray[Any], channels: int, name: str) -> NDArray[Any]:
    if len(frame) == channels:
        return frame
    if len(frame) == 1:
        return np.repeat(frame, channels, axis=0)
    if len(frame) != 3:
        raise SequenceError(f"{name}: number of channels: got {len(frame)}, expected 1 (grey) or 3 (red, green, blue)")
    grey = np.tensordot(LUMA, frame.astype(np.float32), axes=1)[None]
    return np.rint(grey).astype(np.uint8) if frame.dtype == np.uint8 else np.clip(grey, 0.0, 1.0)
