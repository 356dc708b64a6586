"""A ciphertext of the query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.operations.base import Operation
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Input(Operation):
    """The ciphertexts of a query, in order. Its work is the expansion of a seed and the unpacking."""

    units: ClassVar[tuple[str, ...]] = ("input",)

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        return [parameters.scales[self.level]]

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        """Whoever evaluates puts it among the values before the first operation."""
        return [values[self.outputs[0]]]
