"""A new backend, whole: what docs/adding.md shows. Clear slots, more precise than those of the clear backend."""

import numpy as np

from heclstm.backend.base import OnProgress
from heclstm.backend.clear import ClearEvaluator, ClearPlaintext, ClearProgram, ClearValue
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.layout import Floats
from heclstm.circuit.operations import TransformPlan


class LongEvaluator(ClearEvaluator):
    """Clear slots in the widest numbers of the machine: does a result differ by the circuit, or by rounding?"""

    def value(self, values: Floats, level: int, scale: float) -> ClearValue:
        return ClearValue(np.asarray(values, dtype=np.longdouble), level, scale)

    def plaintext(self, values: Floats, level: int, scale: float) -> ClearPlaintext:
        return super().plaintext(np.asarray(values, dtype=np.longdouble), level, scale)

    def linear_transform(self, inputs: list[ClearValue], transform: TransformPlan) -> list[ClearValue]:
        """The clear backend sums from float64 zeros on; longer numbers stay what they are."""
        return [self.value(out.values, out.level, out.scale) for out in super().linear_transform(inputs, transform)]


class LongBackend:
    """The contract of `backend.base`: `prepare`, and what it gives back does the rest."""

    def prepare(self, circuit: Circuit, on_progress: OnProgress | None = None) -> ClearProgram:
        parameters = circuit.parameters
        evaluator = LongEvaluator(parameters.slots, parameters.moduli, parameters.scales)
        return ClearProgram(circuit, evaluator, on_progress)
