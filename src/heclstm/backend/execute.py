"""The one interpreter: a circuit on any backend.

Plaintexts are prepared once, when a program is loaded; each value is dropped after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic

from heclstm.backend.base import Backend, Plain, Prepared, Value
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.ir import (
    Add,
    AddPlain,
    DropLevel,
    Input,
    LinearTransform,
    MultiplyPlain,
    Operation,
    Rescale,
    Rotate,
    SumOfProducts,
)
from heclstm.errors import LayoutError

Observer = Callable[[Operation, list[Any]], None]


class Executor(Generic[Value, Plain, Prepared]):
    """A circuit made ready on a backend. on_prepare(done, total) is called while plaintexts are encoded."""

    def __init__(
        self,
        circuit: Circuit,
        backend: Backend[Value, Plain, Prepared],
        on_prepare: Callable[[int, int], None] | None = None,
    ) -> None:
        self.circuit, self.backend = circuit, backend
        self._prepared: dict[int, Any] = {}
        total = len(circuit.operations)
        for index, operation in enumerate(circuit.operations):
            match operation:
                case LinearTransform():
                    self._prepared[index] = backend.transform(operation.plan)
                case MultiplyPlain():
                    self._prepared[index] = backend.plaintext(
                        operation.vector, operation.level, operation.plaintext_scale
                    )
                case AddPlain():
                    self._prepared[index] = backend.plaintext(operation.vector, operation.level, operation.scale)
            if on_prepare:
                on_prepare(index + 1, total)

    def run(self, inputs: Sequence[Value], observe: Observer | None = None) -> Value:
        """inputs: the ciphertexts of one sequence. observe(operation, outputs) sees every operation's results."""
        expected = self.circuit.input_layout.ciphertexts
        if len(inputs) != expected:
            raise LayoutError(f"run: got {len(inputs)} ciphertexts, expected {expected}")
        values: dict[int, Value] = {}
        rest = iter(inputs)
        for index, (operation, dead) in enumerate(zip(self.circuit.operations, self.circuit.last_uses(), strict=True)):
            outputs = [next(rest)] if isinstance(operation, Input) else self._apply(index, operation, values)
            if observe:
                observe(operation, list(outputs))
            values.update(zip(operation.outputs, outputs, strict=True))
            for value in dead:
                del values[value]
        return values[self.circuit.result]

    def _apply(self, index: int, operation: Operation, values: dict[int, Value]) -> list[Value]:
        backend = self.backend
        match operation:
            case LinearTransform():
                return backend.linear_transform([values[value] for value in operation.inputs], self._prepared[index])
            case SumOfProducts():
                return [backend.sum_of_products([(values[a], values[b]) for a, b in operation.pairs])]
            case MultiplyPlain():
                return [backend.multiply_plain(values[operation.input], self._prepared[index])]
            case AddPlain():
                return [backend.add_plain(values[operation.input], self._prepared[index])]
            case Add():
                return [backend.add(values[operation.left], values[operation.right])]
            case Rotate():
                return [backend.rotate(values[operation.input], operation.step)]
            case Rescale():
                return [backend.rescale(values[operation.input])]
            case DropLevel():
                return [backend.drop_level(values[operation.input], operation.level)]
        raise LayoutError(f"{operation.layer}: unknown operation {type(operation).__name__}")
