"""The one interpreter: a circuit on any evaluator.

Plaintexts are prepared once, when a program is loaded, and serve all tenants; each value is dropped after its last
use.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Generic

from heclstm.backend.base import Cancel, Observer, OnProgress
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import Evaluator, Operation
from heclstm.circuit.operations.evaluator import Linear, Plain, Value
from heclstm.errors import Cancelled, LayoutError

# Units of work without a key switch or a basis extension, which take about ten times as long.
LIGHT_UNITS = {"diagonal", "add", "add_plain", "multiply_plain", "rescale", "further_pair"}


class Executor(Generic[Value, Plain, Linear]):
    """A circuit made ready on an evaluator. on_prepare(done, total) is called while plaintexts are encoded."""

    def __init__(
        self,
        circuit: Circuit,
        evaluator: Evaluator[Value, Plain, Linear],
        on_prepare: OnProgress | None = None,
    ) -> None:
        self.circuit, self.evaluator = circuit, evaluator
        self.prepared: list[Any] = []  # what an operation needs beside its operands, None for most
        self._effort = list(accumulate(map(effort, circuit.operations)))
        for operation in circuit.operations:
            self.prepared.append(operation.prepare(evaluator))
            if on_prepare:
                on_prepare(len(self.prepared), len(circuit.operations))

    def forget_vectors(self) -> Circuit:
        """From now on it holds what was prepared, and not what that was made of."""
        self.circuit = self.circuit.without_vectors()
        return self.circuit

    def run(
        self,
        inputs: Sequence[Value],
        observe: Observer | None = None,
        *,
        evaluator: Evaluator[Value, Plain, Linear] | None = None,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> Value:
        """inputs: the ciphertexts of one sequence. evaluator: one with a tenant's keys, if not that of preparing.

        observe(operation, outputs) sees every operation's results. Raises Cancelled.
        """
        circuit, evaluator = self.circuit, evaluator or self.evaluator
        if len(inputs) != len(circuit.inputs):
            raise LayoutError(f"run: got {len(inputs)} ciphertexts, expected {len(circuit.inputs)}")
        values = {operation.outputs[0]: value for operation, value in zip(circuit.inputs, inputs, strict=True)}
        steps = zip(circuit.operations, self.prepared, circuit.last_uses(), self._effort, strict=True)
        for operation, prepared, dead, done in steps:
            _stop_if(cancel, operation)
            outputs = operation.apply(evaluator, values, prepared)
            if observe:
                observe(operation, list(outputs))
            values.update(zip(operation.outputs, outputs, strict=True))
            for value in dead:
                del values[value]
            if on_progress:
                on_progress(done, self._effort[-1])
        return values[circuit.result]


def effort(operation: Operation) -> int:
    """What an operation counts in progress: limbs times units of work, a light unit as a tenth of a key switch."""
    units = operation.work()
    return (operation.level + 1) * sum(count if unit in LIGHT_UNITS else 10 * count for unit, count in units.items())


def _stop_if(cancel: Cancel | None, operation: Operation) -> None:
    if cancel is None:
        return
    if cancel.is_set() if isinstance(cancel, threading.Event) else cancel():
        raise Cancelled(f"{operation.layer}: the evaluation was cancelled before this layer; nothing was written")
