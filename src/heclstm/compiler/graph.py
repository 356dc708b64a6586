"""A model → the stages of one frame and the parameters of the recurrent part, all as matrices.

A stage is an affine map (a convolution with the pooling before it multiplied in) and the polynomial that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats
from heclstm.model.config import ModelConfig
from heclstm.model.weights import Model

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True, eq=False)
class Affine:
    """x ↦ matrix · x + bias on the features of one frame. shape: of its output."""

    name: str
    matrix: sparse.csr_array
    bias: Floats
    shape: Shape

    def after(self, earlier: Affine) -> Affine:
        """The two maps as one."""
        return Affine(
            f"{earlier.name} + {self.name}" if earlier.name else self.name,
            sparse.csr_array(self.matrix @ earlier.matrix),
            self.matrix @ earlier.bias + self.bias,
            self.shape,
        )

    def scaled(self, scale: Floats, shift: Floats) -> Affine:
        """Output x becomes scale · x + shift."""
        return Affine(
            self.name,
            sparse.csr_array(sparse.diags_array(scale) @ self.matrix),
            scale * self.bias + shift,
            self.shape,
        )


@dataclass(frozen=True, eq=False)
class Stage:
    """An affine map and its polynomial activation; coefficients: (F, degree + 1), ascending powers."""

    name: str
    affine: Affine
    coefficients: Floats


@dataclass(frozen=True, eq=False)
class Graph:
    """stages: the frame encoder. pooled: from the last stage's output to the D spatial features."""

    config: ModelConfig
    input_shape: Shape
    stages: list[Stage]
    pooled: Affine
    arrays: Mapping[str, Floats]


def trace(model: Model) -> Graph:
    """The stages of `model`, adjacent affine maps multiplied together."""
    config = model.config
    shape: Shape = (config.channels, config.height, config.width)
    input_shape = shape
    stages = []
    pending: Affine | None = None  # a pooling that the next map takes in
    for k, block in enumerate(config.blocks):
        prefix = f"blocks.{k}"
        weight, bias = model.arrays[f"{prefix}.weight"], model.arrays[f"{prefix}.bias"]
        affine = convolution(f"{prefix}.convolution", weight, bias, shape, block.stride, block.padding)
        if pending is not None:
            affine = affine.after(pending)
        shape, pending = affine.shape, None
        per_channel = model.arrays[f"{prefix}.coefficients"]
        stages.append(Stage(prefix, affine, np.repeat(per_channel, shape[1] * shape[2], axis=0)))
        if block.pool is not None:
            pending = average_pooling(f"{prefix}.pooling", shape, block.pool)
            factor = np.full(len(pending.bias), float(block.pool_factor))
            pending = pending.scaled(factor, np.zeros_like(factor))
            shape = pending.shape
    pooled = average_pooling("pooling", shape, shape[1:])
    if pending is not None:
        pooled = pooled.after(pending)
    return Graph(config, input_shape, stages, pooled, model.arrays)


def convolution(
    name: str, weight: Floats, bias: Floats, shape: Shape, stride: tuple[int, int], padding: tuple[int, int]
) -> Affine:
    """weight: (C_out, C_in, kH, kW); zero padding. The matrix has a row for each output feature."""
    channels, height, width = shape
    outputs, inputs, kernel_h, kernel_w = weight.shape
    out_h = (height + 2 * padding[0] - kernel_h) // stride[0] + 1
    out_w = (width + 2 * padding[1] - kernel_w) // stride[1] + 1
    o, i, ky, kx, y, x = np.meshgrid(
        *map(np.arange, (outputs, inputs, kernel_h, kernel_w, out_h, out_w)), indexing="ij", sparse=True
    )
    in_y, in_x = y * stride[0] + ky - padding[0], x * stride[1] + kx - padding[1]
    inside = (in_y >= 0) & (in_y < height) & (in_x >= 0) & (in_x < width)
    everywhere = np.broadcast_shapes(o.shape, i.shape, inside.shape)
    keep = np.broadcast_to(inside, everywhere)
    rows = np.broadcast_to((o * out_h + y) * out_w + x, everywhere)[keep]
    columns = np.broadcast_to((i * height + in_y) * width + in_x, everywhere)[keep]
    values = np.broadcast_to(weight[:, :, :, :, None, None], everywhere)[keep]
    matrix = sparse.csr_array((values, (rows, columns)), shape=(outputs * out_h * out_w, channels * height * width))
    return Affine(name, matrix, np.repeat(bias, out_h * out_w), (outputs, out_h, out_w))


def average_pooling(name: str, shape: Shape, size: tuple[int, ...]) -> Affine:
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
    return Affine(name, matrix, np.zeros(channels * out_h * out_w), (channels, out_h, out_w))
