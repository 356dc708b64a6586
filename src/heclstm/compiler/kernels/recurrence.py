"""What recurrent cells are written with: gates, their projections, and the slots of one step.

Every gate and state is a ciphertext of its own in a `VectorLayout` (unit outermost, frame innermost), repeated
through all slots: the recurrent product needs H diagonals and no mask, and gates need no alignment. The projection
W·s_t of *all* frames is one linear transform before the loop. In step t only the slots of frame t are filled (the
masks ride on multiplications that bring a value down to its level anyway), so nothing unbounded grows elsewhere:

    frame      0    1    2    3                    frame       0    1    2    3
    W·s + b   z_0  z_1  z_2  z_3    step 2:  mask · (W·s + b)  0    0   z_2   0     + U·h_1, moved to frame 2
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout, VectorLayout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.kernels.activation import Strand
from heclstm.compiler.linear import Blocks, Entries, apply_linear
from heclstm.errors import LayoutError

EVERY = slice(None)


@dataclass(frozen=True, eq=False)
class Gate:
    """A polynomial Σ c_j z^j of z = W·s + b (+ U·h): its affine strands of z, and the constants of Horner's rule.

    frames: those in which it is projected; in all others it is zero.
    """

    projection: AffineMap
    strands: list[Strand]
    constants: list[Floats]
    frames: slice

    @property
    def affine(self) -> AffineMap:
        """What a gate of one strand is projected by."""
        (strand,) = self.strands
        return self.projection.scaled(strand.scale, strand.shift)

    @classmethod
    def of(cls, coefficients: Floats, projection: AffineMap, frames: slice = EVERY) -> Gate:
        """coefficients: (degree + 1,), or (H, degree + 1) for each unit its own."""
        units = len(projection.bias)
        rows = np.broadcast_to(coefficients, (units, coefficients.shape[-1]))
        degree = max(1, int(np.flatnonzero(rows.any(axis=0)).max(initial=1)))
        one, zero = np.ones(units), np.zeros(units)
        leading = Strand(one * rows[:, degree], one * rows[:, degree - 1])
        constants = [rows[:, power] for power in range(degree - 2, -1, -1)]
        return cls(projection, [leading] if degree == 1 else [Strand(one, zero), leading], constants, frames)


class Recurrence(ABC):
    """Writes steps of a cell. name: the first part of its layers' names; source: the layout of what it reads."""

    def __init__(self, name: str, trace: Trace, units: int, source: Layout) -> None:
        self.name, self.trace, self.source = name, trace, source
        self.frames = source.frames
        self.layout = VectorLayout(source.slots, self.frames, units)
        if self.layout.ciphertexts > 1:
            raise LayoutError(
                f"{name}: {units} units and {self.frames} frames need {self.layout.period} slots, but a ciphertext "
                f"has {source.slots}; use fewer units or frames, or a larger ring"
            )

    @property
    def memory(self) -> Floats | None:
        """(H, T, T): what is left to do to the written values, h_t = Σ_s memory[:, t, s] ⊙ value_s. None: nothing."""
        return None

    @abstractmethod
    def write(self, values: tuple[int, ...]) -> int:
        """(ciphertexts of the features) → one value in `layout`: all states, or what `memory` makes them of."""

    def enter(self, layer: str) -> None:
        """What is written from here on belongs to this layer."""
        self.trace.layer = f"{self.name}.{layer}"

    def project(self, values: tuple[int, ...], gates: Sequence[Gate]) -> list[list[int]]:
        """W·s_t + b for all frames: for each gate its strands. One level."""
        blocks: Blocks = {}
        targets: list[tuple[Layout, Floats]] = []
        for gate in gates:
            for strand in gate.strands:
                affine = gate.projection.scaled(strand.scale, strand.shift)
                frames = range(*gate.frames.indices(self.frames))
                bias = np.zeros((self.frames, self.layout.features))
                bias[gate.frames] = affine.bias
                blocks[len(targets), 0] = Entries.per_frame(affine.matrix, self.frames, targets=frames)
                targets.append((self.layout, bias))
        results = [value for (value,) in apply_linear(self.trace, [(values, self.source)], targets, blocks)]
        return _by_gate(results, gates)

    def recur(self, state: int, gates: Sequence[Gate], weights: Sequence[Floats], t: int) -> list[list[int]]:
        """U·h_{t−1} for every strand, in frame t only. weights: (H, H) for each gate. One level."""
        blocks: Blocks = {}
        for gate, weight in zip(gates, weights, strict=True):
            for strand in gate.strands:
                scaled = sparse.csr_array(strand.scale[:, None] * weight)
                blocks[len(blocks), 0] = Entries.per_frame(scaled, self.frames, shift=1, targets=[t])
        targets: list[tuple[Layout, None]] = [(self.layout, None)] * len(blocks)
        results = apply_linear(self.trace, [((state,), self.layout)], targets, blocks)
        return _by_gate([value for (value,) in results], gates)

    def masked(self, value: int, t: int) -> int:
        """The slots of frame t. The level that it costs is one that the value has to spare."""
        return self.trace.products(plains=[(value, self.at_frame(t, 1.0))])

    def polynomial(self, gate: Gate, values: list[int], t: int | None) -> int:
        """The gate from its strands; constants are written in frame t only, or in all. degree − 1 levels."""
        value, z = values[-1], values[0]
        for constant in gate.constants:
            value = self.trace.products(pairs=[(value, z)])
            if constant.any():
                value = self.trace.sum(value, constant=self.at_frame(t, constant, gate.frames))
        return value

    def gather(self, states: Sequence[int]) -> int:
        """The state of every frame t from states[t], of which the last one is zero outside of its frame."""
        *earlier, last = states
        if not earlier:
            return last
        masked = [(state, self.at_frame(t, 1.0)) for t, state in enumerate(earlier)]
        return self.trace.sum(self.trace.products(plains=masked), last)

    def at_frame(self, t: int | None, value: float | Floats, frames: slice = EVERY) -> Floats:
        """(period,): a number, or one for each unit, in frame t, or in all of these; zero elsewhere."""
        tensor = np.zeros((self.frames, self.layout.features))
        tensor[frames if t is None else t] = value
        return self.layout.pack(tensor)[0, : self.layout.period]


def _by_gate(values: Sequence[int], gates: Sequence[Gate]) -> list[list[int]]:
    rest = iter(values)
    return [[next(rest) for _ in gate.strands] for gate in gates]
