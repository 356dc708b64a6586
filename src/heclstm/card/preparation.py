"""How raw images become the sequence that a model takes; `data.prepare` does it.

A volume of 28×28×28 for a model of 4 frames × 8 channels × 32×32, cut along axis 2 with 7 slices per frame:

    (28, 28, 28) → slices first (28, 28, 28) → (4 frames, 7 channels, 28, 28) → an empty 8th channel → centred
    in 32×32

Plain frames come as (frames, channels, height, width), or (frames, height, width) when they are grey, and are
only padded. With `resize`, `colour` or `length` they may be of other sizes, colours and numbers: `data.fit` explains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from msgspec import Meta, Struct, ValidationError, convert

from heclstm.errors import ModelError
from heclstm.storage.typed import plain, reason

Resize = Literal["none", "stretch", "letterbox", "crop"]
Colour = Literal["as_is", "grey", "rgb"]
Length = Literal["exact", "pad", "sample"]
Size = Annotated[int, Meta(ge=1, le=1 << 26)]

# What may be left out of a model's file; models from before these fields existed keep their digests.
CHOICES: dict[str, tuple[str, ...]] = {
    "resize": ("none", "stretch", "letterbox", "crop"),
    "colour": ("as_is", "grey", "rgb"),
    "length": ("exact", "pad", "sample"),
}
NUMBERS_MAX = 1 << 26  # of one prepared sequence: what `circuit.layout` holds at most


class Preparation(Struct, frozen=True, forbid_unknown_fields=True):
    """How raw images become the (frames, channels, height, width) of a model.

    source: the exact raw shape; three axes for kind "volume", (frames, channels, height, width) for kind
    "frames". axis, slices_per_frame: for volumes, the axis that is cut into frames, and the slices that become
    channels. For frames only: `resize` brings them to the height and width of the source, colour "grey" or "rgb"
    converts them, length "pad" takes fewer frames, and "sample" also more, of which evenly spaced ones are kept.
    """

    kind: Literal["volume", "frames"]
    source: Annotated[tuple[Size, ...], Meta(min_length=3, max_length=4)]
    frames: Size
    channels: Size
    height: Size
    width: Size
    axis: Literal[0, 1, 2] = 2
    slices_per_frame: Size = 1
    resize: Resize = "none"
    colour: Colour = "as_is"
    length: Length = "exact"

    def __post_init__(self) -> None:
        """Raises ModelError."""
        if self.kind not in ("volume", "frames"):
            raise ModelError(f"Preparation.kind: got {self.kind!r}, expected 'volume' or 'frames'")
        axes = 3 if self.kind == "volume" else 4
        numbers = {"source": self.source} | {
            name: (getattr(self, name),) for name in ("frames", "channels", "height", "width", "slices_per_frame")
        }
        for name, values in numbers.items():
            if type(values) is not tuple or not all(type(value) is int and value > 0 for value in values):
                raise ModelError(f"Preparation.{name}: got {values}, expected whole numbers above 0")
        if len(self.source) != axes:
            raise ModelError(f"Preparation.source: got {len(self.source)} axes, expected {axes} for kind {self.kind!r}")
        self._check_choices()
        if type(self.axis) is not int or self.axis not in (0, 1, 2):
            raise ModelError(f"Preparation.axis: got {self.axis!r}, expected 0, 1 or 2")
        self._check_room()

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

    def _check_room(self) -> None:
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
        if math.prod(self.shape) > NUMBERS_MAX:
            raise ModelError(f"Preparation: makes {math.prod(self.shape)} numbers, expected at most {NUMBERS_MAX}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frames, channels, height, width) of what it makes."""
        return self.frames, self.channels, self.height, self.width

    @property
    def flexible(self) -> bool:
        """Whether other raw shapes than `source` are taken, and brought to it."""
        return any(getattr(self, name) != allowed[0] for name, allowed in CHOICES.items())

    @property
    def padded(self) -> bool:
        """Whether sequences of fewer frames are taken, and padded."""
        return self.length != "exact"

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
        """A dictionary of plain JSON types, as it stands in a model's file; `from_json` is its inverse."""
        values = {**plain(self), "source": list(self.source)}
        return {name: value for name, value in values.items() if value != CHOICES.get(name, (None,))[0]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises ModelError on missing, unknown or wrong fields."""
        try:
            return convert(values, cls)
        except ValidationError as error:
            raise ModelError(f"preparation: {reason(error)}") from error
