"""How precise a result will be: the simulator against the clear backend, on the same program and
sequences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor
from heclstm.backend.simulate import SimulatedEvaluator
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.layout import Floats


def run_clear(circuit: Circuit, frames: Floats, evaluator: ClearEvaluator | None = None) -> Floats:
    """frames: (B, T, C, H, W) → (B, K + T·K): the scores and contributions, from clear or simulated slots."""
    parameters, layout = circuit.parameters, circuit.input_layout
    evaluator = evaluator or ClearEvaluator(parameters.slots, parameters.moduli, parameters.scales)
    packed = layout.pack(frames.reshape(len(frames), layout.frames, layout.features).astype(np.float64))
    level = circuit.input_level
    inputs = [evaluator.value(packed[:, i], level, parameters.scales[level]) for i in range(packed.shape[1])]
    slots = Executor(circuit, evaluator).run(inputs).values
    return np.asarray(circuit.result_layout.unpack(slots[:, None, :])[:, 0])


def predict_errors(
    circuit: Circuit, frames: Floats, seeds: int = 8, on_progress: Callable[[int, int], None] | None = None
) -> Floats:
    """(K + T·K,): the root mean square error that encryption will add to each score and contribution."""
    clear = run_clear(circuit, frames)
    errors = []
    for seed in range(seeds):
        errors.append(run_clear(circuit, frames, SimulatedEvaluator(circuit.parameters, seed)) - clear)
        if on_progress:
            on_progress(seed + 1, seeds)
    return np.asarray(np.sqrt(np.mean(np.square(errors), axis=(0, 1))))
