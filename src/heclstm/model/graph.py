"""What a model computes, as nodes that name the arrays they take: read by the NumPy reference and by the compiler.

    frames ─ affine ─ polynomial ─ … ─ affine ─┬──────────┬─ vote
                                     (spatial) └─ cell ───┘
                                                (hidden)

A node makes a value from values before it, for all frames of a sequence. Kinds of blocks and cells make the nodes
(`model.blocks`, `model.cells`, `model.vote`); nothing here needs torch or the compiler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from heclstm.model.polynomial import evaluate

if TYPE_CHECKING:
    from heclstm.compiler.affine import AffineMap, SequenceMap
    from heclstm.model.cells.base import Cell

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]
Shape = tuple[int, ...]
FrameShape = tuple[int, int, int]  # channels, height, width
FRAMES = "frames"  # what the first node reads


@dataclass(frozen=True)
class Range:
    """A value that is watched: measured by `calibrate`, and by training kept within a bound.

    name: under which it is stored. value: its name in `reference.forward`. bound, default: the entry of a training
    file's [ranges] and its default; without one, the value is measured only. parts: which of `of` equal parts of the
    last axis it is; by default all of it.
    """

    name: str
    value: str
    bound: str | None = None
    default: float = 0.0
    parts: tuple[int, ...] = (0,)
    of: int = 1

    def pieces(self, width: int) -> Iterator[slice]:
        """Where the parts stand on an axis of this width."""
        size = width // self.of
        return (slice(part * size, (part + 1) * size) for part in self.parts)

    def within(self, prefix: str) -> Range:
        """The range of a part of a model, by its name in the whole."""
        return replace(self, name=f"{prefix}.{self.name}", value=f"{prefix}.{self.value}")


@dataclass(frozen=True, kw_only=True)
class Node(ABC):
    """name: the layer, in costs and errors. source: the value it reads. value: the one it makes.

    ranges: how it is watched. A value that nobody watches is not reported.
    """

    name: str
    source: str
    value: str
    ranges: tuple[Range, ...] = ()

    @property
    def arrays(self) -> dict[str, Shape]:
        """Name and shape of every array that it takes from a model file."""
        return {}

    @property
    def exact(self) -> str | None:
        """What of it is no polynomial, so that it cannot be compiled, and what to do about it."""
        return None

    def check(self, arrays: Arrays) -> None:  # noqa: B027  # most nodes take any finite numbers
        """Raise ModelError if an array holds numbers that it cannot have."""

    @abstractmethod
    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        """Its values, (sequences, frames, …) each, in NumPy."""


@dataclass(frozen=True, kw_only=True)
class Affine(Node):
    """An affine map of the features of each frame. before, shape: channels, height, width of its two ends."""

    before: FrameShape
    shape: FrameShape

    @abstractmethod
    def affine_map(self, arrays: Arrays) -> AffineMap:
        """The same as a sparse matrix and a bias."""


@dataclass(frozen=True, kw_only=True)
class OverFrames(Node):
    """An affine map of all frames of a sequence together. before, shape: of a frame at its two ends."""

    before: FrameShape
    shape: FrameShape

    @abstractmethod
    def sequence_map(self, arrays: Arrays, frames: int) -> SequenceMap:
        """The same as a sparse matrix and a bias."""


@dataclass(frozen=True, kw_only=True)
class Polynomial(Node):
    """Σ c_j x^j for each channel. degree None: ReLU, for exact twins.

    coefficients: the name of an array (channels, degree + 1), ascending powers.
    """

    coefficients: str
    channels: int
    degree: int | None

    @property
    def arrays(self) -> dict[str, Shape]:
        return {} if self.degree is None else {self.coefficients: (self.channels, self.degree + 1)}

    @property
    def exact(self) -> str | None:
        wanted = "got ReLU, expected a polynomial; train with activation_degree 2 or 3"
        return wanted if self.degree is None else None

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        x = values[self.source]
        if self.degree is None:
            return {self.value: np.maximum(x, 0.0)}
        return {self.value: evaluate(arrays[self.coefficients][:, None, None, :], x)}


@dataclass(frozen=True, kw_only=True)
class Recurrence(Node):
    """A cell over the frames. Its arrays and values carry its name as a prefix; what others read is `hidden`."""

    cell: Cell
    features: int

    @property
    def arrays(self) -> dict[str, Shape]:
        return {f"{self.name}.{name}": shape for name, shape in self.cell.arrays(self.features).items()}

    @property
    def exact(self) -> str | None:
        return self.cell.exact

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        made = self.cell.evaluate(part(arrays, self.name), values[self.source])
        return {f"{self.name}.{name}": value for name, value in made.items()}


@dataclass(frozen=True)
class Graph:
    """nodes: in the order of evaluation, each after what it reads."""

    nodes: tuple[Node, ...]

    @property
    def arrays(self) -> dict[str, Shape]:
        """Name and shape of every array."""
        return {name: shape for node in self.nodes for name, shape in node.arrays.items()}

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(each for node in self.nodes for each in node.ranges)

    def evaluate(self, arrays: Arrays, frames: Array) -> dict[str, Array]:
        """Every value that is watched, and those that a node makes beside it. frames: (B, T, C, H, W)."""
        values: dict[str, Array] = {FRAMES: frames}
        for node in self.nodes:
            values |= node.evaluate(arrays, values)
        inner = {FRAMES, *(node.value for node in self.nodes if not node.ranges)}
        return {name: value for name, value in values.items() if name not in inner}


def part(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The arrays of one part of a model, by their names within it."""
    start = prefix + "."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
