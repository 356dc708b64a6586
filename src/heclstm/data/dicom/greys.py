"""Stored values → greys that a person would see, after DICOM PS3.3 C.11: modality, then values of interest, then
presentation. NumPy only; `mapping` reads what a file asks for.

    stored −modality (slope and intercept, or a table)→ values −VOI (a window or a table)→ 0 … 1 −presentation→ 0 … 255
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
TABLE_BITS = 16  # up to here every stored value is mapped once
BLOCK = 1 << 22  # pixels that are mapped at a time
SHARES = (0.005, 0.995)  # of the data's own range: what lies outside is as dark or bright as it gets


@dataclass(frozen=True)
class Rescale:
    """C.11.1.1.2: slope · stored + intercept."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, stored: Array) -> Array:
        return np.asarray(stored.astype(np.float64) * self.slope + self.intercept)


@dataclass(frozen=True, eq=False)
class Table:
    """C.11.1.1, C.11.2.1.1: the first entry is for the value `first` and below, the last for all above."""

    first: int
    bits: int
    entries: Array

    def __call__(self, values: Array) -> Array:
        rows = np.clip(np.floor(values.astype(np.float64)) - self.first, 0, len(self.entries) - 1)
        return np.asarray(self.entries[rows.astype(np.int64)], np.float64)

    def share(self, values: Array) -> Array:
        return self(values) / (2.0**self.bits - 1)


@dataclass(frozen=True)
class Window:
    """C.11.2.1.2 and C.11.2.1.3: from values to 0 … 1. width: above 0, for LINEAR at least 1."""

    center: float
    width: float
    function: Function = "LINEAR"

    def share(self, values: Array) -> Array:
        if self.function == "SIGMOID":
            with np.errstate(over="ignore"):  # far below the window: 1/∞ is the 0 that it should be
                return np.asarray(1 / (1 + np.exp(-4 * (values - self.center) / self.width)))
        if self.function == "LINEAR_EXACT":
            return (values - self.center) / self.width + 0.5
        if self.width == 1:  # a step: all values up to center − 0.5 are black
            return (values > self.center - 0.5).astype(np.float64)
        return (values - (self.center - 0.5)) / (self.width - 1) + 0.5


@dataclass(frozen=True)
class Span:
    """No window: from black at `low` to white at `high`."""

    low: float
    high: float

    def share(self, values: Array) -> Array:
        return (values - self.low) / max(self.high - self.low, np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Greys:
    """How a frame is shown. voi: None until the data's own range is known. inverted: stored black is shown white.
    padding: stored values from … to that are no tissue, and do not count for a range."""

    modality: Rescale | Table
    voi: Window | Table | Span | None
    inverted: bool
    padding: tuple[int, int] | None = None

    def show(self, stored: Array) -> NDArray[np.uint8]:
        """Whole numbers of any size → uint8."""
        blocks = np.array_split(stored, 1 + stored.size // BLOCK)  # large frames would need eight times their size
        if stored.dtype.itemsize * 8 > TABLE_BITS:
            return np.concatenate([self._shown(block) for block in blocks])
        limits = np.iinfo(stored.dtype)
        if stored.size <= limits.max:  # fewer pixels than values that they might have
            return self._shown(stored)
        table = self._shown(np.arange(limits.min, limits.max + 1))
        return np.concatenate([table[block.astype(np.int64) - limits.min] for block in blocks])

    def spread(self, low: float, high: float, whole: Span | None = None) -> Greys:
        """With a range where there was none. whole: what replaces all that this frame alone can say."""
        if whole is not None and isinstance(self.voi, Span):
            return replace(self, voi=whole)
        return replace(self, voi=Span(low, high)) if self.voi is None else self

    def values(self, stored: Array, count: int) -> Array:
        """About `count` of the values that are no padding, evenly spaced."""
        flat = stored.reshape(-1)[:: max(1, stored.size // count)]
        if self.padding is not None:
            flat = flat[(flat < self.padding[0]) | (flat > self.padding[1])]
        return np.asarray(self.modality(flat))

    def _shown(self, stored: Array) -> NDArray[np.uint8]:
        assert self.voi is not None  # `spread` saw to it
        share = np.clip(self.voi.share(self.modality(stored)), 0, 1)
        return np.asarray(np.rint(255 * (1 - share if self.inverted else share)), np.uint8)


def own_range(values: Array) -> tuple[float, float]:
    """Where the data lie, without the outermost half per cent on both sides, unless nothing else is left."""
    if not values.size:
        return 0.0, 1.0
    low, high = np.quantile(values, SHARES)
    if low == high:
        low, high = values.min(), values.max()
    return float(low), float(high)
