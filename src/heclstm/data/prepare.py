"""Raw images → ImageSequence. The same code trains and serves: a model carries its Preparation in its metadata.

A volume of 28×28×28 for a model of 4 frames × 8 channels × 32×32, cut along axis 2 with 7 slices per frame:

    (28, 28, 28) → slices first (28, 28, 28) → (4 frames, 7 channels, 28, 28) → an empty 8th channel → centred
    in 32×32

Plain frames come as (frames, channels, height, width), or (frames, height, width) when they are grey, and are
only padded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from heclstm.data.sequence import ImageSequence, require_finite, require_range
from heclstm.errors import ModelError, SequenceError

# What an axis of a raw array is called in an error, and the remedy if its length is wrong.
REMEDY = "this model was trained on that size: resample or crop the images, or train a model for them"


@dataclass(frozen=True)
class Preparation:
    """How raw images become the (frames, channels, height, width) of a model.

    source: the exact raw shape; three axes for kind "volume", (frames, channels, height, width) for kind
    "frames". axis, slices_per_frame: for volumes, the axis that is cut into frames, and the slices that become
    channels.
    """

    kind: Literal["volume", "frames"]
    source: tuple[int, ...]
    frames: int
    channels: int
    height: int
    width: int
    axis: int = 2
    slices_per_frame: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", tuple(self.source))
        if self.kind not in ("volume", "frames"):
            raise ModelError(f"Preparation.kind: got {self.kind!r}, expected 'volume' or 'frames'")
        axes = 3 if self.kind == "volume" else 4
        numbers = {"source": self.source} | {
            name: (getattr(self, name),) for name in ("frames", "channels", "height", "width", "slices_per_frame")
        }
        for name, values in numbers.items():
            if not all(isinstance(value, int) and value > 0 for value in values):
                raise ModelError(f"Preparation.{name}: got {values}, expected whole numbers above 0")
        if len(self.source) != axes:
            raise ModelError(f"Preparation.source: got {len(self.source)} axes, expected {axes} for kind {self.kind!r}")
        if self.axis not in (0, 1, 2):
            raise ModelError(f"Preparation.axis: got {self.axis!r}, expected 0, 1 or 2")
        count, channels, height, width = self.cut
        if count != self.frames:
            raise ModelError(f"Preparation.frames: got {self.frames}, but source {self.source} makes {count}")
        for name, got, room in (
            ("channels", channels, self.channels),
            ("height", height, self.height),
            ("width", width, self.width),
        ):
            if got > room:
                raise ModelError(f"Preparation.{name}: got {room}, expected at least the {got} that the source has")

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """(frames, channels, height, width) before padding."""
        if self.kind == "frames":
            return cast(tuple[int, int, int, int], self.source)
        slices = self.source[self.axis]
        if slices % self.slices_per_frame:
            raise ModelError(
                f"Preparation.slices_per_frame: got {self.slices_per_frame}, expected a divisor of the {slices} slices"
            )
        height, width = (size for axis, size in enumerate(self.source) if axis != self.axis)
        return slices // self.slices_per_frame, self.slices_per_frame, height, width

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; `from_json` is its inverse."""
        return {**asdict(self), "source": list(self.source)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises ModelError on missing, unknown or wrong fields."""
        if not isinstance(values, Mapping):
            raise ModelError(f"preparation: got {type(values).__name__}, expected a table of fields")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelError(f"preparation: got unknown fields {unknown}, expected some of {sorted(known)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"preparation: a field is missing or of a wrong type, got {sorted(values)}") from error


def prepare(raw: Any, preparation: Preparation, name: str = "sequence") -> ImageSequence:
    """Check raw images against what the model was trained on, scale them to [0, 1], cut and pad them.

    raw: bool, uint8 (divided by 255) or floating point in [0, 1], of the shape `preparation.source`.
    Raises SequenceError with got, expected and remedy; never a pixel value.
    """
    values = _shaped(_image_array(raw, name), preparation, name)
    if values.dtype == np.uint8:
        scaled = values.astype(np.float32) / np.float32(255)
    else:
        if values.dtype.kind == "f":
            require_finite(values, name)
            require_range(values, name, 0.0, 1.0)
        scaled = values.astype(np.float32)
    return ImageSequence(_padded(scaled, preparation), name)


def prepare_all(images: Iterable[Any], preparation: Preparation) -> NDArray[np.float32]:
    """The frames of many patients, (B, T, C, H, W); the same as `prepare` one by one."""
    return np.stack([prepare(raw, preparation, f"sequence {row}").frames for row, raw in enumerate(images)])


def _image_array(raw: Any, name: str) -> NDArray[Any]:
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
