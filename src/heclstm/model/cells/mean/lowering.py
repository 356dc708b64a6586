"""The mean of the frames under encryption.

Levels: W and the mean are one map, 1, and the quadratic 1. Without it, the vote reads W·s_t + b through the shares of
the frames. With it, one map reads all frames: no more diagonals than the output has slots, T times those of one frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout
from heclstm.compiler.affine import AffineMap, SequenceMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.kernels.activation import evaluate, strands
from heclstm.compiler.kernels.recurrence import Gate, Recurrence
from heclstm.compiler.linear import Blocks, Entries, apply_linear
from heclstm.model.cells.mean import shares
from heclstm.model.graph import Arrays
from heclstm.model.polynomial import IDENTITY

if TYPE_CHECKING:
    from heclstm.model.cells.mean import MeanConfig


class Mean(Recurrence):
    """Writes one layer of means. arrays: its own; features: the affine map from `source` to s_t."""

    def __init__(
        self, name: str, trace: Trace, config: MeanConfig, arrays: Arrays, features: AffineMap, source: Layout
    ) -> None:
        super().__init__(name, trace, config.hidden_size, source)
        weight = sparse.csr_array(arrays["input_weight"])
        self.projection = AffineMap("m", weight, arrays["bias"], (config.hidden_size, 1, 1)).after(features)
        self.linear = config.activation_degree == 1
        coefficients = np.tile(IDENTITY, (config.hidden_size, 1)) if self.linear else arrays["coefficients"]
        self.strands, self.scale, self.shift = strands(coefficients)  # h = scale · v + shift of what is written

    @property
    def memory(self) -> Floats:
        found: Floats = self.scale[:, None, None] * (shares(self.frames) if self.linear else np.eye(self.frames))
        return found

    def write(self, values: tuple[int, ...]) -> int:
        self.enter("projection")
        if self.linear:
            ((value,),) = self.project(values, [Gate.of(IDENTITY, self.projection)])
            return value
        matrix = sparse.csr_array(sparse.kron(sparse.csr_array(shares(self.frames)), self.projection.matrix))
        means = SequenceMap("m", matrix, self.projection.biases(self.frames), self.projection.shape)
        each = [means.scaled(strand.scale, strand.shift) for strand in self.strands]
        blocks: Blocks = {(n, 0): Entries.of(one, self.frames) for n, one in enumerate(each)}
        targets = [(self.layout, one.bias) for one in each]
        results = apply_linear(self.trace, [(values, self.source)], targets, blocks)
        self.enter("activation")
        value = evaluate(self.trace, [value for (value,) in results], [])
        return self.trace.sum(value, constant=self.at_frame(None, self.scale * self.shift))
