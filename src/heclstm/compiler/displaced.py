"""Feature maps that stand some cells further on, so that all steps of the layer that makes them have one sign.

A convolution reads before and behind a position: its steps have both signs, and a key serves one sign. Where its output
stands further on by as much as it reads behind, every step is back, and layers share them:

    reads behind by −1, 0, 1    →    output one cell further on: steps −2, −1, 0

It costs nothing: the next layer knows, and the projection to gates takes any displacement up into its own steps.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise

from heclstm.circuit.layout import ImageLayout, Ints
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.fuse import Fused
from heclstm.compiler.patches import reading


@dataclass(frozen=True)
class Displaced(ImageLayout):
    """cells_on: by how many cells everything stands further on, around the period."""

    cells_on: int = 0

    @cached_property
    def positions(self) -> Ints:
        return (super().positions + self.cells_on) % self.cells


def displaced(fused: Fused, layouts: list[ImageLayout]) -> list[ImageLayout]:
    """layouts: of the input, which stays, and of every stage's output."""
    found = layouts[:1]
    for stage, (_, target) in zip(fused.stages, pairwise(layouts), strict=True):
        source, affine = found[-1], stage.affine
        if isinstance(affine, AffineMap):
            affine = reading(affine, source) or affine
            source, here = source.spread, affine.matrix.tocoo()
            # What is left of a step beside whole channels, near zero.
            block = max(source.rows * source.columns, target.rows * target.columns)
            behind = (source.positions[here.col] - target.positions[here.row] + block // 2) % block - block // 2
            sizes = {field.name: getattr(target, field.name) for field in fields(ImageLayout)}
            target = Displaced(**sizes, cells_on=int(behind.max(initial=0)))
        found.append(target)
    return found
