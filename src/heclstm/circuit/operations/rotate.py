"""A ciphertext turned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.operations.base import Unary
from heclstm.circuit.operations.evaluator import Evaluator, Value


@dataclass(frozen=True, eq=False)
class Rotate(Unary):
    """step: slots to the left, as np.roll(x, -step)."""

    step: int

    units: ClassVar[tuple[str, ...]] = ("rotate",)

    @property
    def rotations(self) -> tuple[int, ...]:
        return (self.step,)

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.rotate(values[self.input], self.step)]
