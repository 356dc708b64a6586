"""The simulator: the clear backend plus the noise of CKKS, drawn from `circuit.noise` for every operation.

It runs the same program and predicts how far an encrypted result lies from the clear one, in a fraction of the time
and without keys. Errors are drawn as independent Gaussians per slot; real ones are fixed by the key to some extent,
so a prediction holds to a small factor, not to a digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from heclstm.backend.base import OnProgress
from heclstm.backend.clear import ClearEvaluator, ClearPlaintext, ClearProgram, ClearValue
from heclstm.circuit.circuit import Circuit, NeededKeys
from heclstm.circuit.layout import Floats
from heclstm.circuit.noise import Noise
from heclstm.circuit.operations import TransformPlan
from heclstm.circuit.parameters import Parameters


class SimulatedEvaluator(ClearEvaluator):
    """keys: at which levels they are; without them, each is at the level where it is used."""

    def __init__(self, parameters: Parameters, seed: int = 0, keys: NeededKeys | None = None) -> None:
        super().__init__(parameters.slots, parameters.moduli, parameters.scales)
        self.noise = Noise(parameters)
        self.key_levels = keys.levels if keys else {}
        self.rng = np.random.default_rng(seed)

    def value(self, values: Floats, level: int, scale: float) -> ClearValue:
        """A fresh encryption."""
        return self._with(super().value(values, level, scale), self.noise.encryption)

    def plaintext(self, values: Floats, level: int, scale: float) -> ClearPlaintext:
        error = self._draw(values.shape, self.noise.encoding(len(values)) / scale)
        return super().plaintext(values + error, level, scale)

    def transform(self, plan: TransformPlan) -> TransformPlan:
        vectors = np.array(plan.vectors)
        std = self.noise.encoding(plan.period)
        for row, source in enumerate(plan.index[:, 4]):
            vectors[row] += self._draw(vectors[row].shape, std / plan.plaintext_scales[source])
        return replace(plan, vectors=vectors)

    def sum_of_products(self, pairs: Sequence[tuple[ClearValue, ClearValue]]) -> ClearValue:
        return self._switched(super().sum_of_products(pairs), 0)

    def rescale(self, a: ClearValue) -> ClearValue:
        return self._with(super().rescale(a), self.noise.rounding)

    def rotate(self, a: ClearValue, step: int) -> ClearValue:
        turned = super().rotate(a, step)
        return self._switched(turned, step) if step % self.slots else turned

    def linear_transform(self, inputs: Sequence[ClearValue], transform: TransformPlan) -> list[ClearValue]:
        """Giant steps and folds switch at the product's scale.

        A fold adds to a sum itself, turned, with all the errors that it has by then: those of the turned inputs are
        in the values already.
        """
        plan = transform
        outputs = super().linear_transform(inputs, plan)
        turns = [self._turn(plan.level, step) / plan.output_scale for step in plan.giant_steps]
        giants = np.sqrt(np.sum(np.square(turns[: len(turns) - plan.folding])))
        results = []
        for output in outputs:
            error = self._draw(output.values.shape, giants)
            for step in plan.folds:
                turn = np.sqrt(sum(self._turn(plan.level, part) ** 2 for part in plan.walk(step)))
                error = error + np.roll(error, -step, axis=-1)
                error = error + self._draw(output.values.shape, turn / plan.output_scale)
            results.append(self._with(replace(output, values=output.values + error), self.noise.rounding))
        return results

    def _turned(self, value: ClearValue, level: int, step: int) -> Floats:
        """Every turned input carries a key switch of its own, through all the diagonals that it meets."""
        turned = super()._turned(value, level, step)
        return turned + self._draw(turned.shape, self._switch(level, step) / value.scale) if step else turned

    def _switch(self, level: int, step: int) -> float:
        """A key switch by the key of this step, 0 for relinearization."""
        return self.noise.key_switch(level, self.key_levels.get(step % self.slots))

    def _turn(self, level: int, step: int) -> float:
        return float(np.hypot(self._switch(level, step), self.noise.rounding))

    def _switched(self, a: ClearValue, step: int) -> ClearValue:
        return self._with(a, self._turn(a.level, step))

    def _with(self, a: ClearValue, std: float) -> ClearValue:
        return replace(a, values=a.values + self._draw(a.values.shape, std / a.scale))

    def _draw(self, shape: tuple[int, ...], std: float) -> Floats:
        return np.asarray(self.rng.standard_normal(shape) * std)


class SimulatedBackend:
    """seed: of the noise, which is drawn anew at every evaluation of a program."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def prepare(self, circuit: Circuit, on_progress: OnProgress | None = None) -> ClearProgram:
        evaluator = SimulatedEvaluator(circuit.parameters, self.seed, circuit.needed_keys)
        return ClearProgram(circuit, evaluator, on_progress)
