"""Affine maps of the features of one frame as sparse matrices."""

from __future__ import annotations

from dataclasses import dataclass

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

    def after(self, earlier: AffineMap) -> AffineMap:
        """The two maps as one."""
        return AffineMap(
            f"{earlier.name} + {self.name}" if earlier.name else self.name,
            sparse.csr_array(self.matrix @ earlier.matrix),
            self.matrix @ earlier.bias + self.bias,
            self.shape,
        )

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
