"""Raw images → ImageSequence. The same code trains and serves: a model carries its Preparation in its metadata.

A volume of 28×28×28 for a model of 4 frames × 8 channels × 32×32, cut along axis 2 with 7 slices per frame:

    (28, 28, 28) → slices first (28, 28, 28) → (4 frames, 7 channels, 28, 28) → an empty 8th channel → centred
    in 32×32

Plain frames come as (frames, channels, height, width), or (frames, height, width) when they are grey, and are
only padded. With `resize`, `colour` or `length` they may be of other sizes, colours and numbers: `fit` explains.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from heclstm.data.fit import fit, image_array
from heclstm.data.pictures import Resize
from heclstm.data.sequence import ImageSequence, require_finite, require_range
from heclstm.errors import ModelError, SequenceError

# What an axis of a raw array is called in an error, and the remedy if its length is wrong.
REMEDY = "this model was trained on that size: resample or crop the images, or train a model for them"

Colour = Literal["as_is", "grey", "rgb"]
Length = Literal["exact", "pad", "sample"]
# What may be left out of a file; models from before these fields existed keep their digests.
CHOICES: dict[str, tuple[str, ...]] = {
    "resize": ("none", "stretch", "letterbox", "crop"),
    "colour": ("as_is", "grey", "rgb"),
    "length": ("exact", "pad", "sample"),
}


@dataclass(frozen=True)
class Preparation:
    """How raw images become the (frames, channels, height, width) of a model.

    source: the exact raw shape; three axes for kind "volume", (frames, channels, height, width) for kind
    "frames". axis, slices_per_frame: for volumes, the axis that is cut into frames, and the slices that become
    channels. For frames only: `resize` brings them to the height and width of the source, colour "grey" or "rgb"
    converts them, length "pad" takes fewer frames, and "sample" also more, of which evenly spaced ones are kept.
    """

    kind: Literal["volume", "frames"]
    source: tuple[int, ...]
    frames: int
    channels: int
    height: int
    width: int
    axis: int = 2
    slices_per_frame: int = 1
    resize: Resize = "none"
    colour: Colour = "as_is"
    length: Length = "exact"

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
        self._check_choices()
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

    def _check_choices(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ModelError(
                    f"Preparation.{name}: got {getattr(self, name)!r}, expected one of {', '.join(map(repr, allowed))}"
                )
        if self.flexible and self.kind == "volume":
            raise ModelError("Preparation: resize, colour and length are for kind 'frames', got kind 'volume'")
        if self.colour != "as_is" and self.source[1] != (wanted := 1 if self.colour == "grey" else 3):
            raise ModelError(
                f"Preparation.source: got {self.source[1]} channels, expected {wanted} for colour {self.colour!r}"
            )

    @property
    def flexible(self) -> bool:
        """Whether other raw shapes than `source` are taken, and brought to it."""
        return any(getattr(self, name) != allowed[0] for name, allowed in CHOICES.items())

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
        values = {**asdict(self), "source": list(self.source)}
        return {name: value for name, value in values.items() if value != CHOICES.get(name, (None,))[0]}

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
