"""Means over windows of a frame: affine maps that any block may end with, and that the encoder ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heclstm.model.fields import Pair
from heclstm.model.graph import Affine, Array, Arrays

if TYPE_CHECKING:
    from heclstm.compiler.affine import AffineMap


@dataclass(frozen=True, kw_only=True)
class Pooling(Affine):
    """Means over windows of `size`, which is the stride too, times `factor`; incomplete windows are dropped."""

    size: Pair
    factor: int = 1

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        images = values[self.source]
        height, width = images.shape[-2] // self.size[0], images.shape[-1] // self.size[1]
        cropped = images[..., : height * self.size[0], : width * self.size[1]]
        windows = cropped.reshape(*images.shape[:-2], height, self.size[0], width, self.size[1])
        return {self.value: windows.mean(axis=(-3, -1)) * self.factor}

    def affine_map(self, arrays: Arrays) -> AffineMap:
        from heclstm.compiler.affine import average_pooling

        means = average_pooling(self.name, self.before, self.size)
        factor = np.full(len(means.bias), float(self.factor))
        return means.scaled(factor, np.zeros_like(factor))


@dataclass(frozen=True, kw_only=True)
class GlobalMean(Affine):
    """The mean of each channel, as a vector."""

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        return {self.value: values[self.source].mean(axis=(3, 4))}

    def affine_map(self, arrays: Arrays) -> AffineMap:
        from heclstm.compiler.affine import average_pooling

        return average_pooling(self.name, self.before, self.before[1:])
