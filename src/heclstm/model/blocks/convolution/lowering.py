"""A convolution as a matrix."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats
from heclstm.compiler.affine import AffineMap, Shape


def convolution(
    name: str, weight: Floats, bias: Floats, shape: Shape, stride: tuple[int, int], padding: tuple[int, int]
) -> AffineMap:
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
    return AffineMap(name, matrix, np.repeat(bias, out_h * out_w), (outputs, out_h, out_w))
