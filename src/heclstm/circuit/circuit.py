"""What a server computes: operations on numbered ciphertexts between two layouts, under one set of parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from heclstm.circuit.layout import ImageLayout, ResultLayout
from heclstm.circuit.operations import Input, Operation
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True)
class NeededKeys:
    """Evaluation keys and the highest level at which each is used. rotations: step → level."""

    relinearization_level: int | None
    rotations: dict[int, int]

    @property
    def levels(self) -> dict[int, int]:
        """By step, as keys are named: 0 for relinearization."""
        first = {} if self.relinearization_level is None else {0: self.relinearization_level}
        return {**first, **self.rotations}


@dataclass(frozen=True, eq=False)
class Circuit:
    """operations: in the order of evaluation. result: the value that holds the result."""

    parameters: Parameters
    input_layout: ImageLayout
    result_layout: ResultLayout
    operations: tuple[Operation, ...]
    result: int

    @cached_property
    def needed_keys(self) -> NeededKeys:
        """Read off the operations: exactly the keys that the evaluation touches, at the level where it does."""
        relinearization: int | None = None
        rotations: dict[int, int] = {}
        for operation in self.operations:
            if operation.relinearizes:
                relinearization = max(relinearization or 0, operation.level_read)
            for step in operation.rotations:
                if turn := step % self.parameters.slots:
                    rotations[turn] = max(rotations.get(turn, 0), operation.level_read)
        return NeededKeys(relinearization, dict(sorted(rotations.items())))

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The ciphertexts of a query, in order."""
        return tuple(operation for operation in self.operations if isinstance(operation, Input))

    @property
    def input_level(self) -> int:
        return self.inputs[0].level

    @property
    def result_level(self) -> int:
        return next(op.level for op in self.operations if self.result in op.outputs)

    def without_vectors(self) -> Circuit:
        """See `Operation.without_vectors`."""
        return replace(self, operations=tuple(operation.without_vectors() for operation in self.operations))

    def last_uses(self) -> list[tuple[int, ...]]:
        """For each operation, the values that nothing reads after it."""
        seen = {self.result}
        dead: list[tuple[int, ...]] = []
        for operation in reversed(self.operations):
            gone = {value for value in (*operation.operands, *operation.outputs) if value not in seen}
            seen |= gone
            dead.append(tuple(sorted(gone)))
        return dead[::-1]
