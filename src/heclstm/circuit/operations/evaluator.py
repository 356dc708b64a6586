"""What operations ask of whoever evaluates them.

Values and prepared plaintexts are opaque: each evaluator has its own. Scales and levels are written in the circuit;
an evaluator that keeps them checks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from heclstm.circuit.layout import Floats

if TYPE_CHECKING:
    from heclstm.circuit.operations.linear_transform import TransformPlan

Value = TypeVar("Value")
Plain = TypeVar("Plain")
Linear = TypeVar("Linear")


class Evaluator(Protocol[Value, Plain, Linear]):
    """Values, plaintexts and transforms are opaque. Scales and levels are written in the circuit; an evaluator keeps
    them and refuses operands that do not fit each other (LevelError, ScaleError).

    Vectors may be shorter than the slots: they repeat. `rotate` turns left: np.roll(x, -step).
    """

    def plaintext(self, values: Floats, level: int, scale: float) -> Plain: ...

    def transform(self, plan: TransformPlan) -> Linear: ...

    def add(self, a: Value, b: Value) -> Value: ...

    def add_plain(self, a: Value, plaintext: Plain) -> Value: ...

    def multiply_plain(self, a: Value, plaintext: Plain) -> Value: ...

    def sum_of_products(self, pairs: Sequence[tuple[Value, Value]]) -> Value: ...

    def rescale(self, a: Value) -> Value: ...

    def drop_level(self, a: Value, level: int) -> Value: ...

    def rotate(self, a: Value, step: int) -> Value: ...

    def linear_transform(self, inputs: Sequence[Value], transform: Linear) -> list[Value]: ...
