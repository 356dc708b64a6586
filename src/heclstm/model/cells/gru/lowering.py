"""HE-GRU under encryption.

Levels per step: U·h 1, gates degree − 1, r ⊙ U_n·h 1, the candidate's degree − 1, the mixture 1. The first step has
no U·h, and its r ⊙ c is a polynomial of the frame's features, as the gates are. Linear gates are folded into W, U, b.
The candidate is written as −n, so that h − n is a sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.kernels.recurrence import EVERY, Gate, Recurrence
from heclstm.model.graph import Arrays

if TYPE_CHECKING:
    from heclstm.model.cells.gru import GruConfig

MINUS_ONE = np.full(1, -1.0)


class Gru(Recurrence):
    """Writes one HE-GRU layer. arrays: its own; features: the affine map from `source` to s_t."""

    def __init__(
        self, name: str, trace: Trace, config: GruConfig, arrays: Arrays, features: AffineMap, source: Layout
    ) -> None:
        super().__init__(name, trace, config.hidden_size, source)
        count, shape = config.projections, (config.hidden_size, 1, 1)
        weights, biases = (np.split(arrays[each], count) for each in ("input_weight", "bias"))
        parts = zip("rzn"[-count:], weights, biases, strict=True)
        *gates, own = [AffineMap(gate, sparse.csr_array(w), b, shape).after(features) for gate, w, b in parts]
        rows = arrays["gate_coefficients"]
        self.gates = [Gate.of(row, gate, EVERY) for row, gate in zip(rows, gates, strict=True)]
        self.candidate = Gate.of(-arrays["candidate_coefficients"], own, EVERY)
        self.recurrent = np.split(arrays["recurrent_weight"], count)
        self.reset = config.reset_gate
        # For every strand of the candidate its scale times c, and r ⊙ that in frame 0, where U_n·h is zero.
        self.biases = [strand.scale * arrays["candidate_bias"] for strand in self.candidate.strands if self.reset]
        self.first = [Gate.of(bias[:, None] * rows[0], gates[0], slice(0, 1)) for bias in self.biases if np.any(bias)]

    def write(self, values: tuple[int, ...]) -> int:
        self.enter("projection")
        every = [*self.gates, self.candidate]
        projected = self.project(values, [*every, *self.first])
        states: list[int] = []
        for t in range(self.frames):
            self.enter(f"step{t}")
            if t == 0:
                states.append(self._first(projected))
            else:
                back = self.recur(states[-1], every, self.recurrent, t)
                states.append(self._step(projected, back, states[-1], t))
        self.enter("states")
        return self.gather(states)

    def _first(self, projected: list[list[int]]) -> int:
        """From h = 0: (1 − z) ⊙ n."""
        count = len(self.gates)
        strands = projected[count]
        if self.first:
            recalled = [
                self.polynomial(gate, values, None)
                for gate, values in zip(self.first, projected[count + 1 :], strict=True)
            ]
            strands = [self.trace.sum(own, value) for own, value in zip(strands, recalled, strict=True)]
        minus_n = self.polynomial(self.candidate, strands, None)
        z = self.polynomial(self.gates[-1], projected[count - 1], None)
        return self.trace.products(pairs=[(z, minus_n)], plains=[(minus_n, MINUS_ONE)])

    def _step(self, projected: list[list[int]], back: list[list[int]], hidden: int, t: int) -> int:
        """All slots but those of frame t are zero, since the gates are: z ⊙ (h − n) + n."""
        *entering, recalled = back
        gates = [
            self.polynomial(gate, [self.trace.sum(u, self.masked(w, t)) for u, w in zip(*pair, strict=True)], t)
            for gate, pair in zip(self.gates, zip(entering, projected, strict=False), strict=True)
        ]
        own = projected[len(self.gates)]
        if self.reset:
            strands = [self._recalled(gates[0], *each, t) for each in zip(recalled, self.biases, own, strict=True)]
        else:
            strands = [self.trace.sum(u, self.masked(w, t)) for u, w in zip(recalled, own, strict=True)]
        minus_n = self.polynomial(self.candidate, strands, t)
        before = self.trace.rotate(hidden, -1)
        return self.trace.products(pairs=[(gates[-1], self.trace.sum(before, minus_n))], plains=[(minus_n, MINUS_ONE)])

    def _recalled(self, r: int, value: int, bias: Floats, own: int, t: int) -> int:
        """r ⊙ (U_n·h + c) + mask · (W_n·s + b_n), for one strand."""
        if np.any(bias):
            value = self.trace.sum(value, constant=self.at_frame(t, bias))
        return self.trace.products(pairs=[(r, value)], plains=[(own, self.at_frame(t, 1.0))])
