"""The clear backend: NumPy slots, exact. It runs the compiled program, never the model: the oracle of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heclstm.circuit.layout import Floats
from heclstm.circuit.operations import TransformPlan
from heclstm.errors import LevelError, ScaleError

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
    scale: float


class ClearBackend:
    """moduli: of the parameters, so that scales can be followed through rescales."""

    def __init__(self, slots: int, moduli: Sequence[int]) -> None:
        self.slots, self.moduli = slots, moduli

    def value(self, values: Floats, level: int, scale: float) -> ClearValue:
        return ClearValue(np.asarray(values, dtype=np.float64), level, scale)

    def plaintext(self, values: Floats, level: int, scale: float) -> ClearPlaintext:
        return ClearPlaintext(np.tile(values, self.slots // len(values)), scale)

    def transform(self, plan: TransformPlan) -> TransformPlan:
        return plan

    def add(self, a: ClearValue, b: ClearValue) -> ClearValue:
        _check_same(a, b)
        return ClearValue(a.values + b.values, a.level, a.scale)

    def add_plain(self, a: ClearValue, plaintext: ClearPlaintext) -> ClearValue:
        if not _agree(a.scale, plaintext.scale):
            raise ScaleError(f"add_plain: {_bits(a.scale)} and {_bits(plaintext.scale)}, expected the same")
        return ClearValue(a.values + plaintext.values, a.level, a.scale)

    def multiply_plain(self, a: ClearValue, plaintext: ClearPlaintext) -> ClearValue:
        return ClearValue(a.values * plaintext.values, a.level, a.scale * plaintext.scale)

    def sum_of_products(self, pairs: Sequence[tuple[ClearValue, ClearValue]]) -> ClearValue:
        first, second = pairs[0]
        if len({value.level for pair in pairs for value in pair}) > 1:
            raise LevelError(f"product: operands have levels {[(a.level, b.level) for a, b in pairs]}")
        if not all(_agree(a.scale * b.scale, first.scale * second.scale) for a, b in pairs):
            raise ScaleError("product: pairs have different scales")
        total = sum((a.values * b.values for a, b in pairs[1:]), first.values * second.values)
        return ClearValue(np.asarray(total), first.level, first.scale * second.scale)

    def rescale(self, a: ClearValue) -> ClearValue:
        return ClearValue(a.values, a.level - 1, a.scale / self.moduli[a.level])

    def drop_level(self, a: ClearValue, level: int) -> ClearValue:
        return ClearValue(a.values, level, a.scale)

    def rotate(self, a: ClearValue, step: int) -> ClearValue:
        return ClearValue(np.roll(a.values, -step, axis=-1), a.level, a.scale)

    def linear_transform(self, inputs: Sequence[ClearValue], transform: TransformPlan) -> list[ClearValue]:
        """By the plan, step by step, so that a wrong plan gives a wrong result."""
        plan, slots, lead = transform, self.slots, inputs[0].values.shape[:-1]
        for value, scale in zip(inputs, plan.plaintext_scales, strict=True):
            if value.level != plan.level:
                raise LevelError(f"linear_transform: an input has level {value.level}, expected {plan.level}")
            if not _agree(value.scale * scale, plan.output_scale):
                raise ScaleError(f"linear_transform: an input gives {_bits(value.scale * scale)}")
        turned = {
            (b, j): np.roll(value.values, -step, axis=-1).reshape(*lead, slots // plan.period, plan.period)
            for b, step in enumerate(plan.babies)
            for j, value in enumerate(inputs)
        }
        partial: dict[tuple[int, int, int], Floats] = {}
        for (i, chain, position, b, j), vector in zip(plan.index.tolist(), plan.vectors, strict=True):
            product = turned[b, j] * vector
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


def _check_same(a: ClearValue, b: ClearValue) -> None:
    if a.level != b.level:
        raise LevelError(f"add: operands have levels {a.level} and {b.level}")
    if not _agree(a.scale, b.scale):
        raise ScaleError(f"add: {_bits(a.scale)} and {_bits(b.scale)}, expected the same")


def _agree(a: float, b: float) -> bool:
    return abs(a / b - 1) <= SCALE_TOLERANCE


def _bits(scale: float) -> str:
    return f"scale 2^{np.log2(scale):.6f}"
