"""Affine maps of the features of one frame, or of all frames together, as sparse matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True, eq=False)
class AffineMap:
    """x ↦ matrix · x + bias on the features of one frame. shape: of its output."""

    name: str
    matrix: sparse.csr_array
    bias: Floats
    shape: Shape

    @overload
    def after(self, earlier: AffineMap) -> AffineMap: ...
    @overload
    def after(self, earlier: SequenceMap) -> SequenceMap: ...
    def after(self, earlier: AffineMap | SequenceMap) -> AffineMap | SequenceMap:
        """The two maps as one."""
        if isinstance(earlier, SequenceMap):
            return self.over(earlier.frames).after(earlier)
        return AffineMap(
            _joined(earlier.name, self.name),
            sparse.csr_array(self.matrix @ earlier.matrix),
            self.matrix @ earlier.bias + self.bias,
            self.shape,
        )

    def over(self, frames: int) -> SequenceMap:
        """The same for every frame of a sequence."""
        matrix = sparse.csr_array(sparse.kron(sparse.eye_array(frames), self.matrix))
        return SequenceMap(self.name, matrix, np.tile(self.bias, (frames, 1)), self.shape)

    def biases(self, frames: int) -> Floats:
        """(T, F)"""
        return np.tile(self.bias, (frames, 1))

    def of(self, scale: Floats, shift: Floats) -> AffineMap:
        """The map of scale · v + shift instead of v."""
        return AffineMap(
            self.name,
            sparse.csr_array(self.matrix @ sparse.diags_array(scale)),
            self.matrix @ shift + self.bias,
            self.shape,
        )

    def scaled(self, scale: Floats, shift: Floats) -> AffineMap:
        """Output x becomes scale · x + shift."""
        return AffineMap(
            self.name,
            sparse.csr_array(sparse.diags_array(scale) @ self.matrix),
            scale * self.bias + shift,
            self.shape,
        )


@dataclass(frozen=True, eq=False)
class SequenceMap:
    """x ↦ matrix · x + bias on the features of all frames, (T, F) each. matrix: (T · F_out, T · F_in), frame by frame.

    shape: of a frame of its output.
    """

    name: str
    matrix: sparse.csr_array
    bias: Floats
    shape: Shape

    @property
    def frames(self) -> int:
        return len(self.bias)

    def after(self, earlier: AffineMap | SequenceMap) -> SequenceMap:
        """The two maps as one."""
        if isinstance(earlier, AffineMap):
            earlier = earlier.over(self.frames)
        return SequenceMap(
            _joined(earlier.name, self.name),
            sparse.csr_array(self.matrix @ earlier.matrix),
            (self.matrix @ earlier.bias.ravel()).reshape(self.bias.shape) + self.bias,
            self.shape,
        )

    def biases(self, frames: int) -> Floats:  # as of an AffineMap, which fits any number
        """(T, F)"""
        return self.bias

    def of(self, scale: Floats, shift: Floats) -> SequenceMap:
        """The map of scale · v + shift instead of v; both for the features of a frame."""
        scale, shift = np.tile(scale, self.frames), np.tile(shift, self.frames)
        bias = (self.matrix @ shift).reshape(self.bias.shape) + self.bias
        return SequenceMap(self.name, sparse.csr_array(self.matrix @ sparse.diags_array(scale)), bias, self.shape)

    def scaled(self, scale: Floats, shift: Floats) -> SequenceMap:
        """Output x becomes scale · x + shift; both for the features of a frame."""
        matrix = sparse.csr_array(sparse.diags_array(np.tile(scale, self.frames)) @ self.matrix)
        return SequenceMap(self.name, matrix, scale * self.bias + shift, self.shape)


def _joined(first: str, second: str) -> str:
    return f"{first} + {second}" if first else second


def average_pooling(name: str, shape: Shape, size: tuple[int, ...]) -> AffineMap:
    """Means over `size` windows with their own size as stride; an incomplete window at the edge is dropped."""
    channels, height, width = shape
    out_h, out_w = height // size[0], width // size[1]
    feature = np.arange(channels * height * width).reshape(shape)
    columns = feature[:, : out_h * size[0], : out_w * size[1]]
    columns = columns.reshape(channels, out_h, size[0], out_w, size[1]).transpose(0, 1, 3, 2, 4)
    count = size[0] * size[1]
    rows = np.repeat(np.arange(channels * out_h * out_w), count)
    matrix = sparse.csr_array(
        (np.full(rows.size, 1.0 / count), (rows, columns.ravel())),
        shape=(channels * out_h * out_w, channels * height * width),
    )
    return AffineMap(name, matrix, np.zeros(channels * out_h * out_w), (channels, out_h, out_w))
