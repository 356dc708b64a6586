"""Raw images → ImageSequence, as a `card.preparation.Preparation` says. The same code trains and serves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.fit import fit, image_array
from heclstm.data.sequence import ImageSequence, require_finite, require_range
from heclstm.errors import SequenceError

# What an axis of a raw array is called in an error, and the remedy if its length is wrong.
REMEDY = "this model was trained on that size: resample or crop the images, or train a model for them"


def prepare(raw: Any, preparation: Preparation, name: str = "sequence") -> ImageSequence:
    """Check raw images against what the model was trained on, scale them to [0, 1], cut and pad them.

    raw: bool, uint8 (divided by 255) or floating point in [0, 1], of the shape `preparation.source`; a flexible
    preparation also takes a list of frames. Raises SequenceError with got, expected and remedy; never a pixel value.
    """
    array, real = fit(raw, preparation, name) if preparation.flexible else (image_array(raw, name), None)
    values = _shaped(array, preparation, name)
    if values.dtype == np.uint8:
        scaled = values.astype(np.float32) / np.float32(255)
    else:
        if values.dtype.kind == "f":
            require_finite(values, name)
            require_range(values, name, 0.0, 1.0)
        scaled = values.astype(np.float32)
    return ImageSequence(_padded(scaled, preparation), name, real)


def prepare_all(images: Iterable[Any], preparation: Preparation) -> NDArray[np.float32]:
    """The frames of many patients, (B, T, C, H, W); the same as `prepare` one by one."""
    return np.stack([prepare(raw, preparation, f"sequence {row}").frames for row, raw in enumerate(images)])


def _shaped(values: NDArray[Any], preparation: Preparation, name: str) -> NDArray[Any]:
    source = preparation.source
    if preparation.kind == "frames" and values.ndim == 3:
        values = values[:, None]  # grey frames without a channel axis
    if values.ndim != len(source):
        raise SequenceError(
            f"{name}: got {values.ndim} axes {values.shape}, expected {len(source)} axes {source}; "
            + ("hand in one volume" if preparation.kind == "volume" else "hand in (frames, channels, height, width)")
        )
    if preparation.kind == "volume":
        names = ["size along axis 0", "size along axis 1", "size along axis 2"]
        names[preparation.axis] = "number of slices"
    else:
        names = ["number of frames", "number of channels", "height", "width"]
    for what, got, expected in zip(names, values.shape, source, strict=True):
        if got != expected:
            raise SequenceError(f"{name}: {what}: got {got}, expected {expected}; {REMEDY}")
    return values


def _padded(values: NDArray[np.float32], preparation: Preparation) -> NDArray[np.float32]:
    """Cut into frames.

    Empty channels behind, the image in the middle (an odd remainder goes below and right).
    """
    count, channels, height, width = preparation.cut
    if preparation.kind == "volume":
        values = np.moveaxis(values, preparation.axis, 0).reshape(count, channels, height, width)
    top, left = (preparation.height - height) // 2, (preparation.width - width) // 2
    frames = np.zeros((count, preparation.channels, preparation.height, preparation.width), np.float32)
    frames[:, :channels, top : top + height, left : left + width] = values
    return frames
