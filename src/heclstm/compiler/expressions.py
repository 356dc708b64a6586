"""What the compiler's kernels write: expressions on numbered values, without levels and scales.

`compiler.levels` turns them into the operations of a circuit, with every level and scale written down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from heclstm.circuit.layout import Floats


@dataclass(frozen=True, eq=False)
class Expression:
    """layer: under which costs and errors are reported. outputs: the values it defines. levels: that it costs."""

    layer: str
    outputs: tuple[int, ...]
    levels: ClassVar[int] = 0

    @property
    def reads(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class Source(Expression):
    """A ciphertext of the client's query."""


@dataclass(frozen=True, eq=False)
class Linear(Expression):
    """output_i = Σ_j M_ij input_j; one level."""

    inputs: tuple[int, ...]
    matrix: DiagonalMatrix
    levels: ClassVar[int] = 1

    @property
    def reads(self) -> tuple[int, ...]:
        return self.inputs


@dataclass(frozen=True, eq=False)
class Products(Expression):
    """Σ a·b + Σ x ⊙ vector; one relinearization, one rescale, one level."""

    pairs: tuple[tuple[int, int], ...]
    plains: tuple[tuple[int, Floats], ...]
    levels: ClassVar[int] = 1

    @property
    def reads(self) -> tuple[int, ...]:
        return (*(value for pair in self.pairs for value in pair), *(value for value, _ in self.plains))


@dataclass(frozen=True, eq=False)
class Rotation(Expression):
    """The slots turned left by `step`."""

    input: int
    step: int

    @property
    def reads(self) -> tuple[int, ...]:
        return (self.input,)


@dataclass(frozen=True, eq=False)
class Sum(Expression):
    """a + b (+ a constant vector)."""

    terms: tuple[int, ...]
    constant: Floats | None = None

    @property
    def reads(self) -> tuple[int, ...]:
        return self.terms


@dataclass(frozen=True, eq=False)
class DiagonalMatrix:
    """A block matrix by its generalised diagonals: vectors[(i, j, k)] multiplies input j turned left by k.

    period: length of every vector, a power of two that divides the slots; the vectors repeat.
    folds: rotate-and-adds that follow, x ← x + rotate(x, fold), one after another.
    modulus: offsets may be taken modulo this, the shorter period of the two ends; 0 for the slots.
    """

    outputs: int
    inputs: int
    period: int
    vectors: dict[tuple[int, int, int], Floats]
    folds: tuple[int, ...] = ()
    modulus: int = 0

    def offsets(self) -> list[int]:
        return sorted({k for _, _, k in self.vectors})


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
