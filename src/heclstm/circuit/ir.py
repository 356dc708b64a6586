"""What a program is made of: operations on numbered ciphertexts.

Two vocabularies share the values. The compiler traces a model into *expressions* (no levels, no scales:
`Linear` and `Products` cost one level each, all else none), and `compiler.levels` turns these into
*operations*, one for each method of a backend, with every level and scale written down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


# ── expressions ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Expression:
    """layer: the name under which costs and errors are reported. outputs: the values it defines."""

    layer: str
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Source(Expression):
    """A ciphertext of the client's query."""


@dataclass(frozen=True, eq=False)
class Linear(Expression):
    """output_i = Σ_j M_ij input_j; one level."""

    inputs: tuple[int, ...]
    matrix: DiagonalMatrix


@dataclass(frozen=True, eq=False)
class Products(Expression):
    """Σ a·b + Σ x ⊙ vector; one relinearization, one rescale, one level."""

    pairs: tuple[tuple[int, int], ...]
    plains: tuple[tuple[int, Floats], ...]


@dataclass(frozen=True, eq=False)
class Rotation(Expression):
    """The slots turned left by `step`."""

    input: int
    step: int


@dataclass(frozen=True, eq=False)
class Sum(Expression):
    """a + b (+ a constant vector)."""

    terms: tuple[int, ...]
    constant: Floats | None = None


@dataclass(frozen=True, eq=False)
class DiagonalMatrix:
    """A block matrix by its generalised diagonals: vectors[(i, j, k)] multiplies input j turned left by k.

    period: length of every vector, a power of two that divides the slots; the vectors repeat.
    folds: rotate-and-adds that follow, x ← x + rotate(x, fold), one after another.
    """

    outputs: int
    inputs: int
    period: int
    vectors: dict[tuple[int, int, int], Floats]
    folds: tuple[int, ...] = ()

    def offsets(self) -> list[int]:
        return sorted({k for _, _, k in self.vectors})


# ── operations ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class TransformPlan:
    """A linear transform as baby steps and giant steps; see `compiler.bsgs`.

    output_i = Σ_c Σ_k rotate(Σ_{b,j} vector ⊙ rotate(input_j, babies[b]), chains[c][k])

    and then output ← output + rotate(output, fold) for each of the folds, all before one mod-down.
    Each chain is summed by Horner's rule, so the rotation keys needed are the babies, the differences within a
    chain, the heads chains[c][0] that are not zero, and the folds.
    index: (E, 5) int32: output, chain, position in the chain, baby, input of each vector.
    vectors: (E, period), already turned for their giant step.
    plaintext_scales: one for each input. output_scale: before the rescale that follows.
    """

    level: int
    n_inputs: int
    n_outputs: int
    babies: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    index: NDArray[np.int32]
    vectors: Floats
    plaintext_scales: tuple[float, ...]
    output_scale: float
    folds: tuple[int, ...] = ()

    @property
    def period(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def giant_steps(self) -> list[int]:
        """One entry for every rotation of a partial sum, for one output."""
        steps = []
        for chain in self.chains:
            steps += [after - before for before, after in zip(chain, chain[1:], strict=False)]
            steps += [chain[0]] if chain[0] else []
        return [*steps, *self.folds]


@dataclass(frozen=True, eq=False)
class Operation:
    """One backend call. level, scale: of its outputs."""

    layer: str
    outputs: tuple[int, ...]
    level: int
    scale: float


@dataclass(frozen=True, eq=False)
class Input(Operation):
    """A ciphertext of the query, in order."""


@dataclass(frozen=True, eq=False)
class LinearTransform(Operation):
    inputs: tuple[int, ...]
    plan: TransformPlan


@dataclass(frozen=True, eq=False)
class SumOfProducts(Operation):
    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class MultiplyPlain(Operation):
    input: int
    vector: Floats
    plaintext_scale: float


@dataclass(frozen=True, eq=False)
class AddPlain(Operation):
    input: int
    vector: Floats


@dataclass(frozen=True, eq=False)
class Add(Operation):
    left: int
    right: int


@dataclass(frozen=True, eq=False)
class Rotate(Operation):
    input: int
    step: int


@dataclass(frozen=True, eq=False)
class Rescale(Operation):
    input: int


@dataclass(frozen=True, eq=False)
class DropLevel(Operation):
    input: int


def operands(operation: Operation) -> tuple[int, ...]:
    """The values that an operation reads."""
    match operation:
        case LinearTransform():
            return operation.inputs
        case SumOfProducts():
            return tuple(value for pair in operation.pairs for value in pair)
        case Add():
            return operation.left, operation.right
        case MultiplyPlain() | AddPlain() | Rotate() | Rescale() | DropLevel():
            return (operation.input,)
    return ()


@dataclass
class Trace:
    """The expressions of a circuit in order, while kernels write them."""

    slots: int
    expressions: list[Expression] = field(default_factory=list)
    layer: str = ""
    count: int = 0

    def fresh(self, number: int = 1) -> tuple[int, ...]:
        self.count += number
        return tuple(range(self.count - number, self.count))

    def source(self) -> int:
        return self._add(Source(self.layer, self.fresh()))[0]

    def linear(self, inputs: tuple[int, ...], matrix: DiagonalMatrix) -> tuple[int, ...]:
        return self._add(Linear(self.layer, self.fresh(matrix.outputs), inputs, matrix))

    def products(
        self,
        pairs: list[tuple[int, int]] | None = None,
        plains: list[tuple[int, Floats]] | None = None,
    ) -> int:
        return self._add(Products(self.layer, self.fresh(), tuple(pairs or ()), tuple(plains or ())))[0]

    def rotate(self, value: int, step: int) -> int:
        if step % self.slots == 0:
            return value
        return self._add(Rotation(self.layer, self.fresh(), value, step))[0]

    def sum(self, *terms: int, constant: Floats | None = None) -> int:
        return self._add(Sum(self.layer, self.fresh(), terms, constant))[0]

    def _add(self, expression: Expression) -> tuple[int, ...]:
        self.expressions.append(expression)
        return expression.outputs
