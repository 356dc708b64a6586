"""The encrypted evaluation beside the clear one, operation by operation, to find where they part.

Needs the secret key, so no server has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heclstm.backend.clear import ClearEvaluator, ClearValue
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.secret import Decryptor, SecretKey
from heclstm.backend.execute import Executor
from heclstm.backend.simulate import SimulatedEvaluator
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.layout import Floats
from heclstm.circuit.operations import Operation

DRIFT = 8  # an error this many times the predicted one is no noise any more


@dataclass
class LayerError:
    """Root mean square over slots of the layer's worst operation: measured and predicted by the simulator."""

    layer: str
    error: float = 0.0
    predicted: float = 0.0
    ratio: float = 0.0

    @property
    def drifts(self) -> bool:
        return not self.ratio <= DRIFT  # NaN drifts

    def to_json(self) -> dict[str, Any]:
        return {"layer": self.layer, "error": self.error, "predicted": self.predicted, "drifts": self.drifts}


class Shadow:
    """An observer of an evaluation. packed: (ciphertexts, slots) of the same sequence in clear."""

    def __init__(self, circuit: Circuit, context: Context, secret_key: bytes, packed: Floats) -> None:
        self._decryptor = Decryptor(context, SecretKey.load(context, secret_key))
        parameters = circuit.parameters
        clear = ClearEvaluator(parameters.slots, parameters.moduli, parameters.scales)
        self._clear = _outputs(circuit, clear, packed)
        self._simulated = _outputs(circuit, SimulatedEvaluator(parameters), packed)
        self._layers: dict[str, LayerError] = {}

    def __call__(self, operation: Operation, outputs: list[Any]) -> None:
        row = self._layers.setdefault(operation.layer, LayerError(operation.layer))
        for value, ciphertext in zip(operation.outputs, outputs, strict=True):
            clear = self._clear.pop(value)
            error = _rms(self._decryptor.decrypt(ciphertext) - clear)
            predicted = _rms(self._simulated.pop(value) - clear)
            ratio = error / predicted
            if not ratio <= row.ratio:
                row.error, row.predicted, row.ratio = error, predicted, ratio

    @property
    def layers(self) -> list[LayerError]:
        """In the order of evaluation."""
        return list(self._layers.values())

    @property
    def first_drift(self) -> LayerError | None:
        return next((row for row in self.layers if row.drifts), None)


def _outputs(circuit: Circuit, evaluator: ClearEvaluator, packed: Floats) -> dict[int, Floats]:
    values: dict[int, Floats] = {}

    def keep(operation: Operation, outputs: list[ClearValue]) -> None:
        values.update(zip(operation.outputs, (output.values for output in outputs), strict=True))

    level = circuit.input_level
    scale = circuit.parameters.scales[level]
    Executor(circuit, evaluator).run([evaluator.value(slots, level, scale) for slots in packed], keep)
    return values


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
