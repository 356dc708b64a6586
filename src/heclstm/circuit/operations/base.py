"""What every operation of a circuit states of itself: what it reads, what must hold, what it costs, how it runs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from heclstm.circuit.layout import Floats
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.operations.fields import Array, decode, encode
from heclstm.circuit.parameters import Parameters
from heclstm.errors import LayoutError, LevelError, ScaleError

SCALE_TOLERANCE = 2.0**-40  # scales are float64 products of a few factors: 2^-52 each


class Kept(NamedTuple):
    """Level and scale of a value."""

    level: int
    scale: float


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """One call of an evaluator. layer: under which costs and errors are reported. level, scale: of its outputs.

    Fields are what a circuit file holds: whole numbers, numbers, texts, tuples of them, arrays.
    """

    layer: str
    outputs: tuple[int, ...]
    level: int
    scale: float

    units: ClassVar[tuple[str, ...]] = ()  # the units of work that it can cost, each with a price of its own
    relinearizes: ClassVar[bool] = False

    @property
    def operands(self) -> tuple[int, ...]:
        """The values that it reads."""
        return ()

    @property
    def level_read(self) -> int:
        """The level at which it works, and its operands stand."""
        return self.level

    @property
    def rotations(self) -> tuple[int, ...]:
        """Every step for which it needs a rotation key; modulo the slots, zero needs none."""
        return ()

    # ── what must hold ─────────────────────────────────────────────────────────────────────────────────────

    def check(self, read: Sequence[Kept], parameters: Parameters) -> None:
        """Raise unless level, scale and content follow from the operands. read: of each operand, in order."""
        name = type(self).__name__
        for kept in read:
            if not self.reads(kept.level):
                raise LevelError(f"{self.layer}: {name} reads level {kept.level} for level {self.level}")
        self.check_content(parameters.slots)
        for scale in self.scales([kept.scale for kept in read], parameters):
            if not 0 < scale < math.inf or not math.isclose(scale, self.scale, rel_tol=SCALE_TOLERANCE):
                raise ScaleError(
                    f"{self.layer}: {name} has scale {_bits(self.scale)}, its operands give {_bits(scale)}"
                )

    def reads(self, level: int) -> bool:
        """Whether an operand may stand at this level."""
        return level == self.level_read

    @abstractmethod
    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        """What the scale of the outputs must be, in every way that it follows; read: of the operands."""

    def check_content(self, slots: int) -> None:
        """Raise LayoutError unless it fits itself and the slots."""
        if len(self.outputs) != 1:
            raise LayoutError(f"{self.layer}: {type(self).__name__} has {len(self.outputs)} outputs, not 1")

    # ── what it costs ──────────────────────────────────────────────────────────────────────────────────────

    def work(self) -> Counter[str]:
        """How often it costs each of its units; once, unless it says otherwise."""
        return Counter(self.units)

    def plaintext_words(self, parameters: Parameters) -> int:
        """32-bit words of what is encoded when the program is loaded: the values of a period, for each limb."""
        return 0

    def working_bytes(self, parameters: Parameters, threads: int) -> int:
        """Memory while it runs on so many threads, beside its operands and outputs."""
        return 0

    # ── how it runs ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, evaluator: Evaluator[Any, Any, Any]) -> Any:
        """What is made once, when a program is loaded, and handed to every `apply`."""
        return None

    @abstractmethod
    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        """Its outputs. values: at least its operands, by number."""

    def without_vectors(self) -> Self:
        """The same for whoever runs it with what was prepared: large arrays hold no numbers, and take no memory."""
        return self

    # ── how it is written ──────────────────────────────────────────────────────────────────────────────────

    def to_json(self, arrays: list[Array]) -> dict[str, Any]:
        """Plain JSON; arrays are appended to `arrays` and numbered."""
        written: dict[str, Any] = encode(self, arrays)
        return written

    @classmethod
    def from_json(cls, data: Mapping[str, Any], arrays: Sequence[Array]) -> Self:
        """What `to_json` wrote. Raises FileFormatError where a field is missing, unknown or of another type."""
        return decode(cls, data, arrays)


@dataclass(frozen=True, eq=False)
class Unary(Operation):
    """An operation on one ciphertext; at its level and scale, unless it says otherwise."""

    input: int

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.input,)

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        return read


def check_vector(layer: str, vector: Floats, slots: int) -> None:
    """Raise LayoutError unless a vector is finite and repeats in the slots."""
    if not np.isfinite(vector).all():
        raise LayoutError(f"{layer}: its vector is not finite everywhere")
    if vector.ndim != 1 or len(vector) < 1 or slots % len(vector):
        raise LayoutError(f"{layer}: a vector of {vector.size} values does not repeat in {slots} slots")


def _bits(scale: float) -> str:
    return f"2^{math.log2(scale):.6f}" if 0 < scale < math.inf else str(scale)
