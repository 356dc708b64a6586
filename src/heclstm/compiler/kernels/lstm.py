"""HE-LSTM: gates i, f, g, o from the features of each frame and the hidden state before it.

Every gate and state is a ciphertext of its own in a `VectorLayout` (unit outermost, frame innermost), repeated
through all slots: the recurrent product needs H diagonals and no mask, and gates need no alignment. The projection
W·s_t of *all* frames is one linear transform before the loop. In step t only the slots of frame t are filled (the
masks ride on multiplications that bring a value down to its level anyway), so nothing unbounded grows elsewhere:

    frame      0    1    2    3                    frame       0    1    2    3
    W·s + b   z_0  z_1  z_2  z_3    step 2:  mask · (W·s + b)  0    0   z_2   0     + U·h_1, moved to frame 2

Levels per step: U·h 1, gates degree − 1, f·c + i·g 1, o·φ(c) 1 (+ the degree of φ).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout, VectorLayout
from heclstm.compiler.expressions import Trace
from heclstm.compiler.graph import Affine
from heclstm.compiler.kernels.activation import Strand
from heclstm.compiler.linear import Blocks, Entries, apply_linear
from heclstm.errors import LayoutError
from heclstm.model.config import LstmConfig

INPUT, FORGET, CELL, OUTPUT = range(4)


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate's polynomial Σ c_j z^j: the affine strands of z, and the constants of the Horner steps after them."""

    strands: list[Strand]
    constants: list[float]

    @classmethod
    def of(cls, coefficients: Floats, hidden: int) -> Gate:
        degree = max(1, int(np.flatnonzero(coefficients).max(initial=1)))
        full = np.full(hidden, 1.0)
        if degree == 1:
            return cls([Strand(full * coefficients[1], full * coefficients[0])], [])
        first = Strand(full * coefficients[degree], full * coefficients[degree - 1])
        return cls([Strand(full, 0 * full), first], [float(c) for c in coefficients[degree - 2 :: -1]])


class Lstm:
    """Writes one HE-LSTM layer. arrays: `lstm.*` of a model; features: the affine map from `source` to s_t."""

    def __init__(
        self, trace: Trace, config: LstmConfig, arrays: Mapping[str, Floats], features: Affine, source: Layout
    ) -> None:
        self.trace, self.config, self.source = trace, config, source
        self.frames, hidden = source.frames, config.hidden_size
        self.layout = VectorLayout(source.slots, self.frames, hidden)
        if self.layout.ciphertexts > 1:
            raise LayoutError(
                f"lstm: {hidden} units and {self.frames} frames need {self.layout.period} slots, but a ciphertext has "
                f"{source.slots}; use fewer units or frames, or a larger ring"
            )
        self.gates = [Gate.of(row, hidden) for row in arrays["lstm.gate_coefficients"]]
        self.cell_output = [float(c) for c in arrays["lstm.cell_output_coefficients"]]
        weights = np.split(arrays["lstm.input_weight"], 4)
        biases = np.split(arrays["lstm.bias"], 4)
        shape = (hidden, 1, 1)
        self.projections = [
            Affine(name, sparse.csr_array(weight), bias, shape).after(features)
            for name, weight, bias in zip("ifgo", weights, biases, strict=True)
        ]
        if config.recurrent_gates:
            self.recurrent = np.split(arrays["lstm.recurrent_weight"], 4)

    def write(self, values: tuple[int, ...]) -> int:
        """(ciphertexts of the features) → one value that holds h_t of every frame t in `layout`."""
        projected = self.projection(values)
        return self._recurrent(projected) if self.config.recurrent_gates else self._scan(projected)

    def projection(self, values: tuple[int, ...]) -> list[list[int]]:
        """W·s_t + b for all frames: for each gate its strands."""
        self.trace.layer = "lstm.projection"
        blocks: Blocks = {}
        targets: list[tuple[Layout, Floats]] = []
        for g, (gate, projection) in enumerate(zip(self.gates, self.projections, strict=True)):
            start = 1 if self._blocks_frame_0(g) else 0
            for strand in gate.strands:
                affine = projection.scaled(strand.scale, strand.shift)
                bias = np.tile(affine.bias, (self.frames, 1))
                bias[:start] = 0
                entries = Entries.per_frame(affine.matrix, self.frames, targets=range(start, self.frames))
                blocks[len(targets), 0] = entries
                targets.append((self.layout, bias))
        results = [value for (value,) in apply_linear(self.trace, [(values, self.source)], targets, blocks)]
        return self._by_gate(results)

    def _by_gate(self, values: list[int]) -> list[list[int]]:
        rest = iter(values)
        return [[next(rest) for _ in gate.strands] for gate in self.gates]

    def _recurrent(self, projected: list[list[int]]) -> int:
        states = []
        hidden = cell = -1
        for t in range(self.frames):
            self.trace.layer = f"lstm.step{t}"
            sums = projected if t == 0 else self._step_input(projected, hidden, t)
            i, f, g, o = (self._gate(g, value, None if t == 0 else t) for g, value in enumerate(sums))
            pairs = [(i, g)] if t == 0 else [(i, g), (f, self.trace.rotate(cell, -1))]
            cell = self.trace.products(pairs=pairs)
            hidden = self._output(o, cell, t)
            states.append(hidden)
        self.trace.layer = "lstm.states"
        *earlier, last = states
        if not earlier:
            return last
        masked = [(state, self._at_frame(t, 1.0)) for t, state in enumerate(earlier)]
        return self.trace.sum(self.trace.products(plains=masked), last)

    def _step_input(self, projected: list[list[int]], hidden: int, t: int) -> list[list[int]]:
        """mask_t · (W·s + b) + U·h_{t−1} for every strand, non-zero in frame t only."""
        blocks: Blocks = {}
        for matrix, gate in zip(self.recurrent, self.gates, strict=True):
            for strand in gate.strands:
                scaled = sparse.csr_array(strand.scale[:, None] * matrix)
                blocks[len(blocks), 0] = Entries.per_frame(scaled, self.frames, shift=1, targets=[t])
        targets: list[tuple[Layout, None]] = [(self.layout, None)] * len(blocks)
        products = apply_linear(self.trace, [((hidden,), self.layout)], targets, blocks)
        mask = self._at_frame(t, 1.0)
        flat = [value for strands in projected for value in strands]
        return self._by_gate(
            [
                self.trace.sum(product, self.trace.products(plains=[(value, mask)]))
                for (product,), value in zip(products, flat, strict=True)
            ]
        )

    def _gate(self, g: int, values: list[int], t: int | None) -> int:
        """The gate's polynomial; its constants are written in frame t only, or in all."""
        value, z = values[-1], values[0]
        for constant in self.gates[g].constants:
            value = self.trace.products(pairs=[(value, z)])
            if constant:
                value = self.trace.sum(value, constant=self._at_frame(t, constant, g))
        return value

    def _output(self, o: int, cell: int, t: int | None) -> int:
        """o · φ(c), with φ(c) = φ0 + φ1 c + φ2 c² + (φ3 c) c²; two levels before the product unless φ is c itself."""
        phi = self.cell_output
        if phi == [0.0, 1.0]:
            return self.trace.products(pairs=[(o, cell)])
        phi = phi + [0.0] * (4 - len(phi))
        everywhere = [self._at_frame(None, coefficient) for coefficient in phi]
        plains = [(cell, everywhere[1])]
        if phi[2] or phi[3]:
            square = self.trace.products(pairs=[(cell, cell)])
            cubed = self.trace.products(plains=[(cell, everywhere[3])])
            plains.append((square, everywhere[2]))
            value = self.trace.products(pairs=[(cubed, square)], plains=plains)
        else:
            value = self.trace.products(plains=plains)
        if phi[0]:
            value = self.trace.sum(value, constant=self._at_frame(t, phi[0]))
        return self.trace.products(pairs=[(o, value)])

    def _scan(self, projected: list[list[int]]) -> int:
        """Gates from the frame alone: all steps at once, ⌈log2 T⌉ levels.

        The step c_t = f_t c_{t−1} + b_t is an affine map (f_t, b_t); 2^k steps in one are
        (F, B) ← (F · F', B + F · B') with F', B' those of 2^k frames before.
        """
        self.trace.layer = "lstm.gates"
        i, f, g, o = (self._gate(g, value, None) for g, value in enumerate(projected))
        cell = self.trace.products(pairs=[(i, g)])
        shift = 1
        while shift < self.frames:
            self.trace.layer = f"lstm.scan{shift}"
            before = self.trace.rotate(cell, -shift)
            cell = self.trace.sum(cell, self.trace.products(pairs=[(f, before)]))
            if 2 * shift < self.frames:
                f = self.trace.products(pairs=[(f, self.trace.rotate(f, -shift))])
            shift *= 2
        return self._output(o, cell, None)

    def _at_frame(self, t: int | None, value: float, gate: int | None = None) -> Floats:
        """(period,): `value` in frame t, or in all; zero in every slot that must stay zero."""
        tensor = np.zeros((self.frames, self.layout.features))
        tensor[slice(None) if t is None else t] = value
        if gate is not None and self._blocks_frame_0(gate):
            tensor[0] = 0
        return self.layout.pack(tensor)[0, : self.layout.period]

    def _blocks_frame_0(self, gate: int) -> bool:
        """The forget gate of a scan is zero in frame 0, so that nothing comes in from before the sequence."""
        return gate == FORGET and not self.config.recurrent_gates
