"""The one interpreter: a circuit on any backend.

Plaintexts are prepared once, when a program is loaded; each value is dropped after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import Evaluator, Operation
from heclstm.circuit.operations.evaluator import Linear, Plain, Value
from heclstm.errors import LayoutError

Observer = Callable[[Operation, list[Any]], None]


class Executor(Generic[Value, Plain, Linear]):
    """A circuit made ready on a backend. on_prepare(done, total) is called while plaintexts are encoded."""

    def __init__(
        self,
        circuit: Circuit,
        backend: Evaluator[Value, Plain, Linear],
        on_prepare: Callable[[int, int], None] | None = None,
    ) -> None:
        self.circuit, self.backend = circuit, backend
        self._prepared: list[Any] = []
        for operation in circuit.operations:
            self._prepared.append(operation.prepare(backend))
            if on_prepare:
                on_prepare(len(self._prepared), len(circuit.operations))

    def run(self, inputs: Sequence[Value], observe: Observer | None = None) -> Value:
        """inputs: the ciphertexts of one sequence. observe(operation, outputs) sees every operation's results."""
        circuit = self.circuit
        if len(inputs) != len(circuit.inputs):
            raise LayoutError(f"run: got {len(inputs)} ciphertexts, expected {len(circuit.inputs)}")
        values = {operation.outputs[0]: value for operation, value in zip(circuit.inputs, inputs, strict=True)}
        for operation, prepared, dead in zip(circuit.operations, self._prepared, circuit.last_uses(), strict=True):
            outputs = operation.apply(self.backend, values, prepared)
            if observe:
                observe(operation, list(outputs))
            values.update(zip(operation.outputs, outputs, strict=True))
            for value in dead:
                del values[value]
        return values[circuit.result]
