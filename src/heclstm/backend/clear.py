"""The clear backend: NumPy slots, exact. It runs the compiled program, never the model: the oracle of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heclstm.backend.base import Cancel, KeySource, Observer, OnProgress
from heclstm.backend.execute import Executor
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.layout import Floats
from heclstm.circuit.operations import TransformPlan
from heclstm.errors import FileFormatError, LayoutError, LevelError, ParameterError, ScaleError

SCALE_TOLERANCE = 2.0**-40


@dataclass(frozen=True, eq=False)
class ClearValue:
    """values: (…, slots); leading axes are independent sequences."""

    values: Floats
    level: int
    scale: float


@dataclass(frozen=True, eq=False)
class ClearPlaintext:
    values: Floats  # (slots,)
    level: int
    scale: float


class ClearEvaluator:
    """moduli, scales: of the parameters, so that scales can be followed through rescales."""

    def __init__(self, slots: int, moduli: Sequence[int], scales: Sequence[float] = ()) -> None:
        self.slots, self.moduli, self.scales = slots, moduli, scales

    def value(self, values: Floats, level: int, scale: float) -> ClearValue:
        return ClearValue(np.asarray(values, dtype=np.float64), level, scale)

    def plaintext(self, values: Floats, level: int, scale: float) -> ClearPlaintext:
        return ClearPlaintext(np.tile(values, self.slots // len(values)), level, scale)

    def transform(self, plan: TransformPlan) -> TransformPlan:
        return plan

    def add(self, a: ClearValue, b: ClearValue) -> ClearValue:
        _same_level("add", a.level, b.level)
        _same_scale("add", a.scale, b.scale)
        return ClearValue(a.values + b.values, a.level, a.scale)

    def add_plain(self, a: ClearValue, plaintext: ClearPlaintext) -> ClearValue:
        _same_level("add_plain", a.level, plaintext.level)
        _same_scale("add_plain", a.scale, plaintext.scale)
        return ClearValue(a.values + plaintext.values, a.level, a.scale)

    def multiply_plain(self, a: ClearValue, plaintext: ClearPlaintext) -> ClearValue:
        _same_level("multiply_plain", a.level, plaintext.level)
        return ClearValue(a.values * plaintext.values, a.level, a.scale * plaintext.scale)

    def sum_of_products(self, pairs: Sequence[tuple[ClearValue, ClearValue]]) -> ClearValue:
        if not pairs:
            raise ParameterError("sum_of_products: got no pairs, expected at least one")
        first, second = pairs[0]
        for a, b in pairs:
            _same_level("sum_of_products", a.level, first.level)
            _same_level("sum_of_products", b.level, first.level)
            _same_scale("sum_of_products", a.scale * b.scale, first.scale * second.scale)
        total = sum((a.values * b.values for a, b in pairs[1:]), first.values * second.values)
        return ClearValue(np.asarray(total), first.level, first.scale * second.scale)

    def rescale(self, a: ClearValue) -> ClearValue:
        if a.level == 0:
            raise LevelError("rescale: got level 0, expected at least 1; use parameters with more levels")
        level, scale = a.level - 1, a.scale / self.moduli[a.level]
        if self.scales and _agree(scale, self.scales[level]):
            scale = self.scales[level]  # or rounding errors of the scale would double at every product
        return ClearValue(a.values, level, scale)

    def drop_level(self, a: ClearValue, level: int) -> ClearValue:
        if not 0 <= level <= a.level:
            raise LevelError(f"drop_level: got {level}, expected 0 … {a.level}, the ciphertext's level")
        return ClearValue(a.values, level, a.scale)

    def rotate(self, a: ClearValue, step: int) -> ClearValue:
        return ClearValue(np.roll(a.values, -step, axis=-1), a.level, a.scale)

    def linear_transform(self, inputs: Sequence[ClearValue], transform: TransformPlan) -> list[ClearValue]:
        """By the plan, step by step, so that a wrong plan gives a wrong result."""
        plan, slots = transform, self.slots
        if len(inputs) != len(plan.plaintext_scales):
            raise ParameterError(f"linear_transform: got {len(inputs)} inputs, expected {len(plan.plaintext_scales)}")
        for value, scale in zip(inputs, plan.plaintext_scales, strict=True):
            _same_level("linear_transform", value.level, plan.level)
            _same_scale("linear_transform", value.scale * scale, plan.output_scale)
        lead = inputs[0].values.shape[:-1]
        turned = {
            (step, j): self._turned(value, plan.level, step).reshape(*lead, slots // plan.period, plan.period)
            for step in {step % slots for step in plan.babies}
            for j, value in enumerate(inputs)
        }
        partial: dict[tuple[int, int, int], Floats] = {}
        for (i, chain, position, b, j), vector in zip(plan.index.tolist(), np.asarray(plan.vectors), strict=True):
            product = turned[plan.babies[b] % slots, j] * vector
            key = (i, chain, position)
            partial[key] = partial[key] + product if key in partial else product
        outputs = []
        for i in range(plan.n_outputs):
            total = np.zeros((*lead, slots))
            for c, chain in enumerate(plan.chains):
                running = np.zeros((*lead, slots))
                for position in reversed(range(len(chain))):
                    if position + 1 < len(chain):
                        running = np.roll(running, chain[position] - chain[position + 1], axis=-1)
                    if (i, c, position) in partial:
                        running = running + partial[i, c, position].reshape(*lead, slots)
                total += np.roll(running, -chain[0], axis=-1)
            for step in plan.folds:
                total = total + np.roll(total, -step, axis=-1)
            outputs.append(ClearValue(total, plan.level, plan.output_scale))
        return outputs

    def _turned(self, value: ClearValue, level: int, step: int) -> Floats:
        """An input of a transform by one baby step: once for all the diagonals that it meets."""
        return np.roll(value.values, -step, axis=-1)


class ClearKeys:
    """There are none."""

    bytes_in_memory = 0
    note = b""

    def save(self, path: Path, note: bytes = b"") -> None:
        raise ParameterError(f"{path}: this backend has no keys to save; use the cpu backend")

    def rest(self) -> None:
        """Nothing to let go of."""

    def close(self) -> None:
        """Nothing to free."""


class ClearProgram:
    """`Prepared` on clear slots. A blob is the slots of a value as little-endian float64; several sequences may stand
    one after another in each blob.
    """

    def __init__(self, circuit: Circuit, evaluator: ClearEvaluator, on_progress: OnProgress | None = None) -> None:
        self.circuit, self.evaluator = circuit, evaluator
        self.executor = Executor(circuit, evaluator, on_progress)
        self.bytes_in_memory = 0  # the circuit's own vectors

    def load_keys(self, source: KeySource | None = None, on_progress: OnProgress | None = None) -> ClearKeys:
        return ClearKeys()

    def load(self, blobs: Sequence[bytes]) -> list[ClearValue]:
        expected, slots = self.circuit.input_layout.ciphertexts, self.circuit.parameters.slots
        if len(blobs) != expected:
            raise LayoutError(f"load: got {len(blobs)} ciphertexts, expected {expected}")
        level = self.circuit.input_level
        values = []
        for blob in blobs:
            if not blob or len(blob) % (8 * slots):
                raise FileFormatError(f"ciphertext: got {len(blob)} bytes, expected a multiple of {8 * slots}")
            rows = np.frombuffer(blob, dtype="<f8").reshape(-1, slots)
            values.append(self.evaluator.value(rows, level, self.circuit.parameters.scales[level]))
        return values

    def evaluate(
        self,
        inputs: Sequence[ClearValue],
        keys: ClearKeys | None = None,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        observe: Observer | None = None,
    ) -> ClearValue:
        return self.executor.run(inputs, observe, on_progress=on_progress, cancel=cancel)

    def store(self, value: ClearValue) -> bytes:
        return value.values.astype("<f8").tobytes()

    def close(self) -> None:
        """Nothing to free."""


class ClearBackend:
    def prepare(self, circuit: Circuit, on_progress: OnProgress | None = None) -> ClearProgram:
        parameters = circuit.parameters
        evaluator = ClearEvaluator(parameters.slots, parameters.moduli, parameters.scales)
        return ClearProgram(circuit, evaluator, on_progress)


def _same_level(place: str, got: int, expected: int) -> None:
    if got != expected:
        raise LevelError(f"{place}: got levels {got} and {expected}, expected the same; drop the higher one first")


def _same_scale(place: str, got: float, expected: float) -> None:
    if not _agree(got, expected):
        raise ScaleError(
            f"{place}: got scales 2^{np.log2(got):.9f} and 2^{np.log2(expected):.9f}, expected the same; rescale or "
            "encode at the other's scale"
        )


def _agree(a: float, b: float) -> bool:
    return abs(a / b - 1) <= SCALE_TOLERANCE
