"""A compiled program, and its files.

A program folder holds
    program.json    what everybody may see: parameters, layouts, needed keys, preparation, operating point, digest
    circuit.json    the operations (server)
    circuit.npz     their vectors (server): the model's weights, folded

The hospital needs program.json only. The digest covers all three, so keys and ciphertexts name the program that they
were made for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from heclstm.circuit.ir import (
    Input,
    LinearTransform,
    Operation,
    Rotate,
    SumOfProducts,
    operands,
)
from heclstm.circuit.layout import ImageLayout, ResultLayout
from heclstm.circuit.parameters import Parameters
from heclstm.errors import FileFormatError


@dataclass(frozen=True)
class NeededKeys:
    """Evaluation keys and the highest level at which each is used. rotations: step → level."""

    relinearization_level: int | None
    rotations: dict[int, int]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Purpose:
    """What a program is for: the model's metadata that the hospital needs."""

    name: str = ""
    preparation: dict[str, Any] = field(default_factory=dict)
    operating_point: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, Any] = field(default_factory=dict)
    attribution: str = ""
    model_digest: str = ""
    temperature: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "attribution", "model_digest"):
            if not isinstance(getattr(self, name), str):
                raise FileFormatError(f"purpose: {name} is no text")
        for name in ("preparation", "operating_point", "ranges", "temperature"):
            if not isinstance(getattr(self, name), dict):
                raise FileFormatError(f"purpose: {name} is no table")
        if not _finite(self.operating_point.get("threshold", 0.0)):
            raise FileFormatError("purpose: the operating point's threshold is no finite number")
        for name, known in self.ranges.items():
            if not isinstance(known, dict) or not _finite(known.get("limit", 0.0)):
                raise FileFormatError(f"purpose: the range of {name} has no finite limit")
        if not all(_finite(self.temperature.get(name, 0.0)) for name in ("temperature", "offset")):
            raise FileFormatError("purpose: the temperature is no finite number")

    @classmethod
    def of(cls, model: Any) -> Purpose:
        """From a `heclstm.model.weights.Model`."""
        metadata = model.metadata
        return cls(
            name=str(metadata.get("name", "")),
            preparation=dict(metadata.get("preparation", {})),
            operating_point=dict(metadata.get("operating_point", {})),
            ranges=dict(metadata.get("ranges", {})),
            attribution=". Licence: ".join(filter(None, (metadata.get("attribution"), metadata.get("licence")))),
            model_digest=model.digest,
            temperature=dict(metadata.get("temperature", {})),
        )


@dataclass(frozen=True, eq=False)
class Description:
    """The public part of a program: all that a client needs to make keys, encrypt, and read a result."""

    parameters: Parameters
    input_layout: ImageLayout
    result_layout: ResultLayout
    input_level: int
    result_level: int
    keys: NeededKeys
    purpose: Purpose
    digest: str


@dataclass(frozen=True, eq=False)
class Program:
    """operations: in the order of evaluation. result: the value that holds the result."""

    parameters: Parameters
    input_layout: ImageLayout
    result_layout: ResultLayout
    operations: tuple[Operation, ...]
    result: int
    purpose: Purpose = field(default_factory=Purpose)

    @cached_property
    def needed_keys(self) -> NeededKeys:
        """Read off the operations: exactly the keys that the evaluation touches, at the level where it does."""
        slots = self.parameters.slots
        relinearization: int | None = None
        rotations: dict[int, int] = {}
        for operation in self.operations:
            match operation:
                case SumOfProducts():
                    relinearization = max(relinearization or 0, operation.level)
                case Rotate():
                    steps = [operation.step]
                case LinearTransform():
                    steps = [*operation.plan.babies, *operation.plan.giant_steps]
            if isinstance(operation, Rotate | LinearTransform):
                for step in steps:
                    if step % slots:
                        rotations[step % slots] = max(rotations.get(step % slots, 0), operation.level)
        return NeededKeys(relinearization, dict(sorted(rotations.items())))

    @property
    def input_level(self) -> int:
        return next(operation.level for operation in self.operations if isinstance(operation, Input))

    @property
    def result_level(self) -> int:
        return next(op.level for op in self.operations if self.result in op.outputs)

    def last_uses(self) -> list[tuple[int, ...]]:
        """For each operation, the values that nothing reads after it."""
        seen = {self.result}
        dead: list[tuple[int, ...]] = []
        for operation in reversed(self.operations):
            gone = {value for value in (*operands(operation), *operation.outputs) if value not in seen}
            seen |= gone
            dead.append(tuple(sorted(gone)))
        return dead[::-1]
