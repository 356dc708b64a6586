"""Layouts: which slot holds which element of a tensor.

A tensor of a sequence has the shape (T, F): T frames of F features. In slots the *frame is innermost* and
channels are outermost, so that every layer that treats all frames alike is one sparse matrix whose diagonals do
not depend on T, and one plaintext serves all frames:

    slot = position(feature) · T' + frame,       T' = T rounded up to a power of two

The slots repeat with a power-of-two `period`: a tensor smaller than a ciphertext fills it with copies of itself.
Copies cost nothing, let diagonals wrap around, and let them share work (see `compiler.linear`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import LayoutError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PERIOD_MAX = 1 << 26  # of all ciphertexts of a query together: 64 million numbers


def power_of_two(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << max(0, number - 1).bit_length()


@dataclass(frozen=True)
class Layout:
    """slots: of one ciphertext. Subclasses say where each feature stands."""

    slots: int
    frames: int
    kind: ClassVar[str] = ""

    @property
    def features(self) -> int:
        raise TypeError("Layout is abstract; use one of its kinds")

    @cached_property
    def cells(self) -> int:
        """Feature positions in one period, a power of two."""
        raise TypeError("Layout is abstract; use one of its kinds")

    @cached_property
    def positions(self) -> Ints:
        """(F,): the cell of each feature."""
        raise TypeError("Layout is abstract; use one of its kinds")

    @property
    def frame_slots(self) -> int:
        return power_of_two(self.frames)

    @property
    def period(self) -> int:
        """After this many slots (counted over all ciphertexts) the content repeats."""
        return self.cells * self.frame_slots

    @property
    def ciphertexts(self) -> int:
        return max(1, self.period // self.slots)

    @cached_property
    def slot_of(self) -> Ints:
        """(T, F): the first slot of each element, counted over all ciphertexts."""
        return self.positions[None, :] * self.frame_slots + np.arange(self.frames)[:, None]

    def pack(self, tensor: Floats) -> Floats:
        """(…, T, F) → (…, ciphertexts, slots); every slot without an element is zero."""
        if tensor.shape[-2:] != (self.frames, self.features):
            raise LayoutError(
                f"pack: got a tensor of shape {tensor.shape}, expected (…, {self.frames}, {self.features})"
            )
        lead = tensor.shape[:-2]
        one_period = np.zeros((*lead, self.period))
        one_period[..., self.slot_of] = tensor
        copies = self.ciphertexts * self.slots // self.period
        return np.tile(one_period, copies).reshape(*lead, self.ciphertexts, self.slots)

    def unpack(self, packed: Floats) -> Floats:
        """(…, ciphertexts, slots) → (…, T, F)."""
        if packed.shape[-2:] != (self.ciphertexts, self.slots):
            raise LayoutError(
                f"unpack: got slots of shape {packed.shape}, expected (…, {self.ciphertexts}, {self.slots})"
            )
        flat = packed.reshape(*packed.shape[:-2], -1)
        return np.asarray(flat[..., self.slot_of])

    def used(self) -> NDArray[np.bool_]:
        """(period,): True where a slot holds an element."""
        mask = np.zeros(self.period, dtype=bool)
        mask[self.slot_of] = True
        return mask

    def _check_fits(self) -> None:
        if self.slots != power_of_two(self.slots) or self.frames < 1:
            raise LayoutError(
                f"{self.kind} layout: got {self.slots} slots and {self.frames} frames, "
                "expected a power of two and at least 1"
            )


@dataclass(frozen=True)
class Patches:
    """Pixels as a first layer reads them: position (y, x) of height × width holds, as channels of its own, the pixels
    (y · stride_y + first_y + t_y, x · stride_x + first_x + t_x) of each channel, for t_y < taps_y and t_x < taps_x.

        stride 2, first −1, taps 3:   image  a b c d e f   →   position  0  1  2      zero beyond the image
                                                                tap 0    0  b  d
                                                                tap 1    a  c  e
                                                                tap 2    b  d  f
    """

    height: int
    width: int
    stride_y: int
    stride_x: int
    first_y: int
    first_x: int
    taps_y: int
    taps_x: int

    def __post_init__(self) -> None:
        sizes = (self.height, self.width, self.stride_y, self.stride_x, self.taps_y, self.taps_x)
        if min(sizes) < 1 or max(*sizes, abs(self.first_y), abs(self.first_x)) > PERIOD_MAX:
            raise LayoutError(f"image layout: every size of its patches must be 1 … {PERIOD_MAX}, got {self}")

    @property
    def taps(self) -> int:
        return self.taps_y * self.taps_x

    def of(self, images: Floats, channels: int, height: int, width: int) -> Floats:
        """(…, channels · height · width) → (…, channels · taps · positions)."""
        rows = np.arange(self.height) * self.stride_y + self.first_y + np.arange(self.taps_y)[:, None]
        columns = np.arange(self.width) * self.stride_x + self.first_x + np.arange(self.taps_x)[:, None]
        lead = images.shape[:-1]
        padded = np.zeros((*lead, channels, height + 1, width + 1))  # the last row and column stay zero
        padded[..., :height, :width] = images.reshape(*lead, channels, height, width)
        rows[(rows < 0) | (rows >= height)] = height
        columns[(columns < 0) | (columns >= width)] = width
        # (t_y, y), (t_x, x) → (t_y, t_x, y, x)
        return padded[..., rows[:, None, :, None], columns[None, :, None, :]].reshape(*lead, -1)


@dataclass(frozen=True)
class ImageLayout(Layout):
    """Feature maps, multiplexed: features run as (channel, y, x), row-major.

    After a stride the valid positions stand `gap` apart, and channels fill the gaps (Lee et al., ICML 2022,
    ia.cr/2021/1688):

        cell = (group · rows + y · gap_y + c_y) · columns + x · gap_x + c_x,
        channel = (group · gap_y + c_y) · gap_x + c_x

    rows, columns: powers of two that hold height · gap_y and width · gap_x.
    patches: the client packs these pixels instead of each once; rows and columns hold their positions, see `spread`.
    """

    channels: int
    height: int
    width: int
    rows: int
    columns: int
    gap_y: int = 1
    gap_x: int = 1
    patches: Patches | None = None
    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        self._check_fits()
        if min(self.channels, self.height, self.width, self.gap_y, self.gap_x) < 1:
            raise LayoutError(f"image layout: every size must be at least 1, got {self}")
        for name, size, gap, room in (
            ("rows", (self.patches or self).height, self.gap_y, self.rows),
            ("columns", (self.patches or self).width, self.gap_x, self.columns),
        ):
            if room != power_of_two(room) or size * gap > room:
                raise LayoutError(f"image layout: {name} is {room}, expected a power of two of at least {size} · {gap}")
        if self.period > PERIOD_MAX:
            raise LayoutError(f"image layout: {self.period} slots, expected at most {PERIOD_MAX}; use smaller images")

    @property
    def features(self) -> int:
        return self.channels * self.height * self.width

    @cached_property
    def spread(self) -> ImageLayout:
        """The layout of what is packed: every tap a channel of its own."""
        if self.patches is None:
            return self
        patches, sizes = self.patches, (self.rows, self.columns, self.gap_y, self.gap_x)
        channels = self.channels * patches.taps
        return ImageLayout(self.slots, self.frames, channels, patches.height, patches.width, *sizes)

    def pack(self, tensor: Floats) -> Floats:
        if self.patches is None or tensor.shape[-2:] != (self.frames, self.features):
            return super().pack(tensor)
        return self.spread.pack(self.patches.of(tensor, self.channels, self.height, self.width))

    def to_json(self) -> dict[str, Any]:
        """What an earlier release does not know is left out where it says nothing: digests stay what they are."""
        return {name: value for name, value in asdict(self).items() if name != "patches" or value is not None}

    @cached_property
    def cells(self) -> int:
        if self.patches is not None:
            return self.spread.cells
        groups = -(-self.channels // (self.gap_y * self.gap_x))
        return power_of_two(groups) * self.rows * self.columns

    @cached_property
    def positions(self) -> Ints:
        if self.patches is not None:
            raise LayoutError("image layout: a pixel of patches stands in several slots; ask `spread`")
        channel, y, x = np.unravel_index(np.arange(self.features), (self.channels, self.height, self.width))
        group, within = np.divmod(channel, self.gap_y * self.gap_x)
        c_y, c_x = np.divmod(within, self.gap_x)
        row = group * self.rows + y * self.gap_y + c_y
        return np.asarray(row * self.columns + x * self.gap_x + c_x, dtype=np.int64)


@dataclass(frozen=True)
class VectorLayout(Layout):
    """F features in order, one cell each: gates, states, dense layers."""

    length: int
    kind: ClassVar[str] = "vector"

    def __post_init__(self) -> None:
        self._check_fits()
        if self.length < 1:
            raise LayoutError(f"vector layout: got {self.length} features, expected at least 1")

    @property
    def features(self) -> int:
        return self.length

    @cached_property
    def cells(self) -> int:
        return power_of_two(self.length)

    @cached_property
    def positions(self) -> Ints:
        return np.arange(self.length, dtype=np.int64)


@dataclass(frozen=True)
class ResultLayout(Layout):
    """One score and T contributions for each class in the first slots of one ciphertext, zero elsewhere.

    Features of the only "frame": the K scores, then the contributions as (T, K). Never repeated: a result
    carries nothing in the slots that it does not use.
    """

    classes: int
    steps: int
    kind: ClassVar[str] = "result"

    def __post_init__(self) -> None:
        self._check_fits()
        if self.frames != 1 or min(self.classes, self.steps) < 1 or self.features > self.slots:
            raise LayoutError(
                f"result layout: {self.classes} classes and {self.steps} frames need {self.features} slots, "
                f"but a ciphertext has {self.slots}"
            )

    @property
    def features(self) -> int:
        return self.classes * (1 + self.steps)

    @cached_property
    def cells(self) -> int:
        return self.slots

    @cached_property
    def positions(self) -> Ints:
        return np.arange(self.features, dtype=np.int64)
