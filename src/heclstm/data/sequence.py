"""IMAGES → SEQUENCE: the one form in which images reach a model, in training and in serving alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import SequenceError


@dataclass(frozen=True, repr=False)
class ImageSequence:
    """The frames of one patient, float32 (T, C, H, W) in [0, 1].

    real_frames: so many come first and count, what is behind them is padding; all by default. Raises
    SequenceError on anything else; its message says what and where, never a pixel value.
    """

    frames: NDArray[np.float32]
    name: str = "sequence"
    real_frames: int | None = None

    def __post_init__(self) -> None:
        frames = self.frames
        if not isinstance(frames, np.ndarray) or frames.dtype != np.float32:
            got = getattr(frames, "dtype", type(frames).__name__)
            raise SequenceError(f"{self.name}: got {got}, expected a float32 array; use heclstm.data.prepare")
        if frames.ndim != 4 or 0 in frames.shape:
            raise SequenceError(
                f"{self.name}: got an array of shape {frames.shape}, expected four axes "
                "(frames, channels, height, width), none of them empty"
            )
        require_finite(frames, self.name)
        require_range(frames, self.name, 0.0, 1.0)
        real = len(frames) if self.real_frames is None else self.real_frames
        if not 1 <= real <= len(frames):
            raise SequenceError(f"{self.name}: got {real} real frames, expected 1 to {len(frames)}")
        object.__setattr__(self, "real_frames", real)
        frames = frames.copy(order="C")
        frames.setflags(write=False)
        object.__setattr__(self, "frames", frames)

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def __repr__(self) -> str:  # neither pixels nor a patient's name
        count, channels, height, width = self.frames.shape
        return f"ImageSequence({count} frames of {channels}×{height}×{width})"


def require_finite(values: NDArray[np.floating], name: str) -> None:
    """Raise SequenceError at the first value that is NaN or infinite."""
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise SequenceError(
            f"{name}: got {int(wrong.sum())} values that are NaN or infinite, the first at {_first(wrong)}, "
            "expected none; export the images again"
        )


def require_range(values: NDArray[np.floating], name: str, low: float, high: float) -> None:
    """Raise SequenceError at the first value outside [low, high]."""
    wrong = (values < low) | (values > high)
    if wrong.any():
        raise SequenceError(
            f"{name}: got {int(wrong.sum())} values outside [{low:g}, {high:g}], the first at {_first(wrong)}; "
            "hand in uint8 images, or floating-point images scaled to [0, 1]"
        )


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(mask)), mask.shape))
