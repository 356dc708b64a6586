"""A new operation, whole: what docs/adding.md shows. It turns a vector's slots around."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.backend.clear import ClearEvaluator, ClearValue
from heclstm.circuit.operations.base import Unary
from heclstm.circuit.operations.evaluator import Value

REVERSAL = -1  # the key that it needs, as a rotation step


@dataclass(frozen=True, eq=False)
class Reverse(Unary):
    """Slots in reverse order: an automorphism, for which a key is switched as for a rotation."""

    units: ClassVar[tuple[str, ...]] = ("reverse",)

    @property
    def rotations(self) -> tuple[int, ...]:
        return (REVERSAL,)

    def apply(self, evaluator: Any, values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.reverse(values[self.input])]


class Reversing(ClearEvaluator):
    """Clear slots with one method more."""

    def reverse(self, a: ClearValue) -> ClearValue:
        return ClearValue(a.values[..., ::-1], a.level, a.scale)
