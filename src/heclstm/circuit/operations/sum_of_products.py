"""Σ a·b of ciphertexts, relinearized once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from heclstm.circuit.operations.base import Operation
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.parameters import Parameters
from heclstm.errors import LayoutError


@dataclass(frozen=True, eq=False)
class SumOfProducts(Operation):
    """A pair beside the first is cheaper: only the first needs the relinearization."""

    pairs: tuple[tuple[int, int], ...]

    units: ClassVar[tuple[str, ...]] = ("product", "further_pair")
    relinearizes: ClassVar[bool] = True

    @property
    def operands(self) -> tuple[int, ...]:
        return tuple(value for pair in self.pairs for value in pair)

    def check_content(self, slots: int) -> None:
        super().check_content(slots)
        if not self.pairs:
            raise LayoutError(f"{self.layer}: a sum of no products")

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        return [a * b for a, b in zip(read[::2], read[1::2], strict=True)]

    def work(self) -> Counter[str]:
        return Counter(product=1, further_pair=len(self.pairs) - 1)

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return [evaluator.sum_of_products([(values[a], values[b]) for a, b in self.pairs])]
