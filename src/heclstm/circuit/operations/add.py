"""The sum of two ciphertexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.operations.base import Operation
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Add(Operation):
    left: int
    right: int

    units: ClassVar[tuple[str, ...]] = ("add",)

    @property
    def operands(self) -> tuple[int, ...]:
        return self.left, self.right

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        return read

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.add(values[self.left], values[self.right])]
