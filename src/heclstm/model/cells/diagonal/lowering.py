"""The diagonal cell under encryption.

Levels: the projection of all frames 1, gates degree − 1, i ⊙ g 1, the state 1, o ⊙ c 1. Without a gate on the output
the state is not written at all: the vote reads what was taken in, through the state's weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.kernels.recurrence import Gate, Recurrence
from heclstm.compiler.linear import Entries, apply_linear
from heclstm.model.cells.diagonal.memory import weights
from heclstm.model.graph import Arrays
from heclstm.model.polynomial import IDENTITY

if TYPE_CHECKING:
    from heclstm.model.cells.diagonal import DiagonalConfig


class Diagonal(Recurrence):
    """Writes one diagonal layer. arrays: its own; features: the affine map from `source` to s_t."""

    def __init__(
        self, name: str, trace: Trace, config: DiagonalConfig, arrays: Arrays, features: AffineMap, source: Layout
    ) -> None:
        super().__init__(name, trace, config.hidden_size, source)
        self.config = config
        count, shape = config.projections, (config.hidden_size, 1, 1)
        rows = [IDENTITY, *arrays.get("gate_coefficients", ())]
        parts = zip("gio", np.split(arrays["input_weight"], count), np.split(arrays["bias"], count), strict=False)
        maps = [AffineMap(each, sparse.csr_array(w), b, shape).after(features) for each, w, b in parts]
        self.gates = [Gate.of(row, each) for row, each in zip(rows, maps, strict=True)]
        self.weights = weights(config.memory, arrays["rate"], self.frames)

    @property
    def memory(self) -> Floats | None:
        return None if self.config.gated[1] else self.weights

    def write(self, values: tuple[int, ...]) -> int:
        self.enter("projection")
        (taken,), *rest = self.project(values, self.gates)
        gates = [self.polynomial(gate, z, None) for gate, z in zip(self.gates[1:], rest, strict=True)]
        self.enter("state")
        if self.config.gated[0]:
            taken = self.trace.products(pairs=[(gates[0], taken)])
        if not self.config.gated[1]:
            return taken
        ((state,),) = apply_linear(
            self.trace, [((taken,), self.layout)], [(self.layout, None)], {(0, 0): self._remembered()}
        )
        return self.trace.products(pairs=[(gates[-1], state)])

    def _remembered(self) -> Entries:
        unit, t, s = np.nonzero(self.weights)
        units = self.layout.features
        return Entries(t * units + unit, s * units + unit, self.weights[unit, t, s])
