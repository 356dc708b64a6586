"""The one interpreter: a circuit on any evaluator.

Plaintexts are prepared once, when a program is loaded, and serve all tenants; each value is dropped after its last
use.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Generic

from heclstm.backend.base import Cancel, Evaluator, Linear, Observer, OnProgress, Plain, Value
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.cost import work
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
        self.prepared: dict[int, Any] = {}
        self._effort = list(accumulate(map(effort, circuit.operations)))
        total = len(circuit.operations)
        for index, operation in enumerate(circuit.operations):
            match operation:
                case LinearTransform():
                    self.prepared[index] = evaluator.transform(operation.plan)
                case MultiplyPlain():
                    self.prepared[index] = evaluator.plaintext(
                        operation.vector, operation.level, operation.plaintext_scale
                    )
                case AddPlain():
                    self.prepared[index] = evaluator.plaintext(operation.vector, operation.level, operation.scale)
            if on_prepare:
                on_prepare(index + 1, total)

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
        expected = self.circuit.input_layout.ciphertexts
        if len(inputs) != expected:
            raise LayoutError(f"run: got {len(inputs)} ciphertexts, expected {expected}")
        evaluator = evaluator or self.evaluator
        values: dict[int, Value] = {}
        rest = iter(inputs)
        for index, (operation, dead) in enumerate(zip(self.circuit.operations, self.circuit.last_uses(), strict=True)):
            _stop_if(cancel, operation)
            outputs = [next(rest)] if isinstance(operation, Input) else self._apply(index, operation, values, evaluator)
            if observe:
                observe(operation, list(outputs))
            values.update(zip(operation.outputs, outputs, strict=True))
            for value in dead:
                del values[value]
            if on_progress:
                on_progress(self._effort[index], self._effort[-1])
        return values[self.circuit.result]

    def _apply(
        self,
        index: int,
        operation: Operation,
        values: dict[int, Value],
        evaluator: Evaluator[Value, Plain, Linear],
    ) -> list[Value]:
        match operation:
            case LinearTransform():
                return evaluator.linear_transform([values[value] for value in operation.inputs], self.prepared[index])
            case SumOfProducts():
                return [evaluator.sum_of_products([(values[a], values[b]) for a, b in operation.pairs])]
            case MultiplyPlain():
                return [evaluator.multiply_plain(values[operation.input], self.prepared[index])]
            case AddPlain():
                return [evaluator.add_plain(values[operation.input], self.prepared[index])]
            case Add():
                return [evaluator.add(values[operation.left], values[operation.right])]
            case Rotate():
                return [evaluator.rotate(values[operation.input], operation.step)]
            case Rescale():
                return [evaluator.rescale(values[operation.input])]
            case DropLevel():
                return [evaluator.drop_level(values[operation.input], operation.level)]
        raise LayoutError(f"{operation.layer}: unknown operation {type(operation).__name__}")


def effort(operation: Operation) -> int:
    """What an operation counts in progress: limbs times units of work, a light unit as a tenth of a key switch."""
    units = work(operation)
    return (operation.level + 1) * sum(count if unit in LIGHT_UNITS else 10 * count for unit, count in units.items())


def _stop_if(cancel: Cancel | None, operation: Operation) -> None:
    if cancel is None:
        return
    if cancel.is_set() if isinstance(cancel, threading.Event) else cancel():
        raise Cancelled(f"{operation.layer}: the evaluation was cancelled before this layer; nothing was written")
