"""The clear backend: NumPy slots, exact. It runs the compiled program, never the model: the oracle of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heclstm.circuit.ir import Floats, TransformPlan
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
        return ClearValue(a.values + plaintext.values, a.level, a.scale)

    def multiply_plain(self, a: ClearValue, plaintext: ClearPlaintext) -> ClearValue:
        return ClearValue(a.values * plaintext.values, a.level, a.scale * plaintext.scale)

    def sum_of_products(self, pairs: Sequence[tuple[ClearValue, ClearValue]]) -> ClearValue:
        first, second = pairs[0]
        if len({value.level for pair in pairs for value in pair}) > 1:
            raise LevelError(f"product: operands have levels {[(a.level, b.level) for a, b in pairs]}")
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
    if abs(a.scale / b.scale - 1) > SCALE_TOLERANCE:
        raise ScaleError(f"add: operands have scales 2^{np.log2(a.scale):.6f} and 2^{np.log2(b.scale):.6f}")
