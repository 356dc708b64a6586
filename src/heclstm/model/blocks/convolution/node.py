"""A convolution of every frame, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from heclstm.model.fields import Pair
from heclstm.model.graph import Affine, Array, Arrays, Shape

if TYPE_CHECKING:
    from heclstm.compiler.affine import AffineMap


@dataclass(frozen=True, kw_only=True)
class Convolution(Affine):
    """weight: the name of an array (C_out, C_in, kH, kW); bias: (C_out,). Zero padding."""

    weight: str
    bias: str
    kernel: Pair
    stride: Pair
    padding: Pair

    @property
    def arrays(self) -> dict[str, Shape]:
        return {self.weight: (self.shape[0], self.before[0], *self.kernel), self.bias: (self.shape[0],)}

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        images = values[self.source]
        flat = images.reshape(-1, *images.shape[2:])
        convolved = convolve(flat, arrays[self.weight], self.stride, self.padding) + arrays[self.bias][:, None, None]
        return {self.value: convolved.reshape(*images.shape[:2], *convolved.shape[1:])}

    def affine_map(self, arrays: Arrays) -> AffineMap:
        from heclstm.model.blocks.convolution.lowering import convolution

        return convolution(self.name, arrays[self.weight], arrays[self.bias], self.before, self.stride, self.padding)


def convolve(images: Array, weight: Array, stride: Pair, padding: Pair) -> Array:
    """Correlate (N, I, h, w) with (O, I, kh, kw) as torch's conv2d does, through one matrix product."""
    (kh, kw), (sh, sw), (ph, pw) = weight.shape[2:], stride, padding
    padded = np.pad(images, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = sliding_window_view(padded, (kh, kw), axis=(2, 3))  # (N, I, rows, columns, kh, kw)
    windows = windows[:, :, ::sh, ::sw]
    count, channels, rows, columns = windows.shape[:4]
    patches = windows.transpose(0, 1, 4, 5, 2, 3).reshape(count, channels * kh * kw, rows * columns)
    convolved: Array = weight.reshape(len(weight), -1) @ patches
    return convolved.reshape(count, len(weight), rows, columns)
