"""HE-LSTM under encryption.

Levels per step: U·h 1, gates degree − 1, f·c + i·g 1, o·φ(c) 1 (+ the degree of φ). The first step has no U·h.
Linear gates are folded into W, U and b.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.kernels.recurrence import EVERY, Gate, Recurrence
from heclstm.compiler.kernels.together import Together
from heclstm.model.graph import Arrays

if TYPE_CHECKING:
    from heclstm.model.cells.lstm import LstmConfig

IDENTITY = [0.0, 1.0]
FORGET, OUTPUT = 1, 3  # of the gates i, f, g, o


class Lstm(Recurrence):
    """Writes one HE-LSTM layer. arrays: its own; features: the affine map from `source` to s_t."""

    def __init__(
        self, name: str, trace: Trace, config: LstmConfig, arrays: Arrays, features: AffineMap, source: Layout
    ) -> None:
        super().__init__(name, trace, config.hidden_size, source)
        self.config = config
        self.cell_output = [float(c) for c in arrays["cell_output_coefficients"]]
        self.gates = []
        shape = (config.hidden_size, 1, 1)
        parts = zip("ifgo", np.split(arrays["input_weight"], 4), np.split(arrays["bias"], 4), strict=True)
        for g, (gate, weight, bias) in enumerate(parts):
            projection = AffineMap(gate, sparse.csr_array(weight), bias, shape).after(features)
            # The forget gate of a scan is zero in frame 0, so that nothing comes in from before the sequence.
            frames = slice(1, None) if g == FORGET and not config.recurrent_gates else EVERY
            self.gates.append(Gate.of(arrays["gate_coefficients"][g], projection, frames))
        self.recurrent = np.split(arrays["recurrent_weight"], 4) if config.recurrent_gates else []

    def write(self, values: tuple[int, ...]) -> int:
        if not self.config.recurrent_gates:
            return self._scan(self.projection(values))
        linear = all(len(gate.strands) == 1 for gate in self.gates) and self.cell_output == IDENTITY
        if linear and Together.pays(self.source, self.layout):
            return self._steps(*self._together(values))
        projected = self.projection(values)
        return self._steps(projected, *self._first(projected))

    def projection(self, values: tuple[int, ...]) -> list[list[int]]:
        """W·s_t + b for all frames: for each gate its strands."""
        self.enter("projection")
        return self.project(values, self.gates)

    def _together(self, values: tuple[int, ...]) -> tuple[list[list[int]], int, int]:
        """All gates projected into one ciphertext: what later steps read of each, and state and cell of the first."""
        self.enter("projection")
        gates = Together(self.trace, values, self.source, [gate.affine for gate in self.gates], self.layout)
        projected = [[gates.gate(number)] for number in range(len(self.gates))]
        self.enter("step0")
        products = gates.opposite()
        opened = [(gates.gate(OUTPUT, blocks, 0), product) for product, blocks in products]
        hidden = self.trace.products(pairs=opened)
        cell = self.trace.products(plains=[(product, gates.mask(blocks, 0)) for product, blocks in products])
        return projected, hidden, cell

    def _first(self, projected: list[list[int]]) -> tuple[int, int]:
        """State and cell of the first step, from c = h = 0."""
        self.enter("step0")
        i, _, g, o = self._polynomials(projected, None)
        cell = self.trace.products(pairs=[(i, g)])
        return self._output(o, cell, 0), cell

    def _steps(self, projected: list[list[int]], hidden: int, cell: int) -> int:
        """All steps from the second on. hidden, cell: of the first."""
        states = [hidden]
        for t in range(1, self.frames):
            self.enter(f"step{t}")
            i, f, g, o = self._polynomials(self._step_input(projected, hidden, t), t)
            cell = self.trace.products(pairs=[(i, g), (f, self.trace.rotate(cell, -1))])
            hidden = self._output(o, cell, t)
            states.append(hidden)
        self.enter("states")
        return self.gather(states)

    def _step_input(self, projected: list[list[int]], hidden: int, t: int) -> list[list[int]]:
        """mask_t · (W·s + b) + U·h_{t−1} for every strand, non-zero in frame t only."""
        products = self.recur(hidden, self.gates, self.recurrent, t)
        return [
            [self.trace.sum(product, self.masked(value, t)) for product, value in zip(*pair, strict=True)]
            for pair in zip(products, projected, strict=True)
        ]

    def _polynomials(self, sums: list[list[int]], t: int | None) -> list[int]:
        return [self.polynomial(gate, values, t) for gate, values in zip(self.gates, sums, strict=True)]

    def _output(self, o: int, cell: int, t: int | None) -> int:
        """o · φ(c), with φ(c) = φ0 + φ1 c + φ2 c² + (φ3 c) c²; two levels before the product unless φ is c itself."""
        phi = self.cell_output
        if phi == IDENTITY:
            return self.trace.products(pairs=[(o, cell)])
        phi = phi + [0.0] * (4 - len(phi))
        everywhere: list[Floats] = [self.at_frame(None, coefficient) for coefficient in phi]
        plains = [(cell, everywhere[1])]
        if phi[2] or phi[3]:
            square = self.trace.products(pairs=[(cell, cell)])
            cubed = self.trace.products(plains=[(cell, everywhere[3])])
            plains.append((square, everywhere[2]))
            value = self.trace.products(pairs=[(cubed, square)], plains=plains)
        else:
            value = self.trace.products(plains=plains)
        if phi[0]:
            value = self.trace.sum(value, constant=self.at_frame(t, phi[0]))
        return self.trace.products(pairs=[(o, value)])

    def _scan(self, projected: list[list[int]]) -> int:
        """Gates from the frame alone: all steps at once, ⌈log2 T⌉ levels.

        The step c_t = f_t c_{t−1} + b_t is an affine map (f_t, b_t); 2^k steps in one are
        (F, B) ← (F · F', B + F · B') with F', B' those of 2^k frames before.
        """
        self.enter("gates")
        i, f, g, o = self._polynomials(projected, None)
        cell = self.trace.products(pairs=[(i, g)])
        shift = 1
        while shift < self.frames:
            self.enter(f"scan{shift}")
            before = self.trace.rotate(cell, -shift)
            cell = self.trace.sum(cell, self.trace.products(pairs=[(f, before)]))
            if 2 * shift < self.frames:
                f = self.trace.products(pairs=[(f, self.trace.rotate(f, -shift))])
            shift *= 2
        return self._output(o, cell, None)
