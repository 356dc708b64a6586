"""A ciphertext without its last primes: lower, at the same scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heclstm.circuit.operations.base import Unary
from heclstm.circuit.operations.evaluator import Evaluator, Value


@dataclass(frozen=True, eq=False)
class DropLevel(Unary):
    """Free: the limbs are not copied."""

    def reads(self, level: int) -> bool:
        return level >= self.level

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.drop_level(values[self.input], self.level)]
