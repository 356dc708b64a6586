"""A ciphertext plus an encoded vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.layout import Floats
from heclstm.circuit.operations.base import Unary, check_vector
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True, eq=False)
class AddPlain(Unary):
    """vector: one period, or shorter; encoded at the ciphertext's scale."""

    vector: Floats

    units: ClassVar[tuple[str, ...]] = ("add_plain",)

    def check_content(self, slots: int) -> None:
        super().check_content(slots)
        check_vector(self.layer, self.vector, slots)

    def plaintext_words(self, parameters: Parameters) -> int:
        return parameters.residues(len(self.vector)) * (self.level + 1)

    def prepare(self, evaluator: Evaluator[Any, Any, Any]) -> Any:
        return evaluator.plaintext(self.vector, self.level, self.scale)

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.add_plain(values[self.input], prepared)]
