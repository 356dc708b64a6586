"""A ciphertext divided by the last prime of its modulus: one level less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.operations.base import Unary
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Rescale(Unary):
    units: ClassVar[tuple[str, ...]] = ("rescale",)

    @property
    def level_read(self) -> int:
        return self.level + 1

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        return [read[0] / parameters.moduli[self.level_read]]

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.rescale(values[self.input])]
