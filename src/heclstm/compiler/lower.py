"""Fused graph and layouts → expressions: every stage, the cell and the vote, each written by its own kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heclstm.circuit.layout import Floats, ImageLayout, Layout, ResultLayout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.fuse import Fused
from heclstm.compiler.kernels.activation import evaluate, strands
from heclstm.compiler.linear import Blocks, Entries, apply_linear
from heclstm.compiler.patches import reading
from heclstm.model.graph import part


@dataclass(frozen=True, eq=False)
class Lowered:
    """The expressions of a circuit, its outputs, and the layouts at its two ends."""

    trace: Trace
    output: int
    input_layout: ImageLayout
    result_layout: ResultLayout


@dataclass(frozen=True, eq=False)
class Encoded:
    """The frame encoder: its values in `layout`, from which the affine map `features` makes s_t."""

    trace: Trace
    values: tuple[int, ...]
    layout: ImageLayout
    features: AffineMap


def lower(fused: Fused, layouts: list[ImageLayout]) -> Lowered:
    """layouts: of the input and of each stage's output."""
    encoded = lower_encoder(fused, layouts)
    trace, features, source = encoded.trace, encoded.features, (encoded.values, encoded.layout)
    arrays = fused.model.arrays
    cell = fused.cell
    kernel = cell.cell.kernel()(cell.name, trace, cell.cell, part(arrays, cell.name), features, encoded.layout)
    states = kernel.write(encoded.values)
    output, result = fused.vote.lower(trace, arrays, features, source, (states, kernel.layout))
    return Lowered(trace, output, layouts[0], result)


def lower_encoder(fused: Fused, layouts: list[ImageLayout]) -> Encoded:
    """Every stage: an affine map, then its polynomial."""
    trace = Trace(layouts[0].slots)
    trace.layer = "input"
    values = tuple(trace.source() for _ in range(layouts[0].ciphertexts))
    scale, shift = np.ones(layouts[0].features), np.zeros(layouts[0].features)
    for stage, source, target in zip(fused.stages, layouts, layouts[1:], strict=False):
        affine = stage.affine.of(scale, shift)
        needed, scale, shift = strands(stage.coefficients)
        blocks: Blocks = {}
        targets: list[tuple[Layout, Floats]] = []
        for strand in needed:
            scaled = affine.scaled(strand.scale, strand.shift)
            part = reading(scaled, source) or scaled
            blocks[len(targets), 0] = Entries.per_frame(part.matrix, target.frames)
            targets.append((target, np.tile(part.bias, (target.frames, 1))))
        trace.layer = affine.name
        results = apply_linear(trace, [(values, source.spread)], targets, blocks)
        trace.layer = stage.name
        constants = [target.pack(np.tile(column, (target.frames, 1))) for column in stage.coefficients.T[-3:0:-1]]
        values = tuple(
            evaluate(trace, [result[n] for result in results], [constant[n] for constant in constants])
            for n in range(target.ciphertexts)
        )
    return Encoded(trace, values, layouts[-1], fused.features.of(scale, shift))
