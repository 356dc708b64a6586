"""A ciphertext times an encoded vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.layout import Floats
from heclstm.circuit.operations.base import Unary, check_vector
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True, eq=False)
class MultiplyPlain(Unary):
    """vector: one period, or shorter. plaintext_scale: at which it is encoded."""

    vector: Floats
    plaintext_scale: float

    units: ClassVar[tuple[str, ...]] = ("multiply_plain",)

    def check_content(self, slots: int) -> None:
        super().check_content(slots)
        check_vector(self.layer, self.vector, slots)

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        return [read[0] * self.plaintext_scale]

    def plaintext_words(self, parameters: Parameters) -> int:
        return parameters.residues(len(self.vector)) * (self.level + 1)

    def prepare(self, evaluator: Evaluator[Any, Any, Any]) -> Any:
        return evaluator.plaintext(self.vector, self.level, self.plaintext_scale)

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.multiply_plain(values[self.input], prepared)]
