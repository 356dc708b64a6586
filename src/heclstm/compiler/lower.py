"""Graph and layouts → expressions: every stage, the recurrence and the vote, written by their kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, ImageLayout, Layout, ResultLayout
from heclstm.compiler.expressions import Trace
from heclstm.compiler.graph import Affine, Graph
from heclstm.compiler.kernels.activation import evaluate, strands
from heclstm.compiler.kernels.lstm import Lstm
from heclstm.compiler.kernels.vote import write_vote
from heclstm.compiler.linear import Blocks, Entries, apply_linear


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
    features: Affine


def lower(graph: Graph, layouts: list[ImageLayout]) -> Lowered:
    """layouts: of the input and of each stage's output."""
    encoded = lower_encoder(graph, layouts)
    trace, values, features = encoded.trace, encoded.values, encoded.features
    lstm = Lstm(trace, graph.config.lstm, graph.arrays, features, encoded.layout)
    states = lstm.write(values)
    output, result = write_vote(trace, graph.arrays, features, (values, encoded.layout), (states, lstm.layout))
    return Lowered(trace, output, layouts[0], result)


def lower_encoder(graph: Graph, layouts: list[ImageLayout]) -> Encoded:
    """Every stage of the graph: an affine map, then its polynomial."""
    trace = Trace(layouts[0].slots)
    trace.layer = "input"
    values = tuple(trace.source() for _ in range(layouts[0].ciphertexts))
    scale, shift = np.ones(layouts[0].features), np.zeros(layouts[0].features)
    for stage, source, target in zip(graph.stages, layouts, layouts[1:], strict=False):
        affine = _absorb(stage.affine, scale, shift)
        needed, scale, shift = strands(stage.coefficients)
        blocks: Blocks = {}
        targets: list[tuple[Layout, Floats]] = []
        for strand in needed:
            part = affine.scaled(strand.scale, strand.shift)
            blocks[len(targets), 0] = Entries.per_frame(part.matrix, target.frames)
            targets.append((target, np.tile(part.bias, (target.frames, 1))))
        trace.layer = affine.name
        results = apply_linear(trace, [(values, source)], targets, blocks)
        trace.layer = f"{stage.name}.activation"
        constants = [target.pack(np.tile(column, (target.frames, 1))) for column in stage.coefficients.T[-3:0:-1]]
        values = tuple(
            evaluate(trace, [result[n] for result in results], [constant[n] for constant in constants])
            for n in range(target.ciphertexts)
        )
    return Encoded(trace, values, layouts[-1], _absorb(graph.pooled, scale, shift))


def _absorb(affine: Affine, scale: Floats, shift: Floats) -> Affine:
    """`affine` on scale · v + shift instead of v: what the polynomial before it left to do."""
    return Affine(
        affine.name,
        sparse.csr_array(affine.matrix @ sparse.diags_array(scale)),
        affine.matrix @ shift + affine.bias,
        affine.shape,
    )
