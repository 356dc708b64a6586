"""The diagonal cell in NumPy, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heclstm.model.cells.diagonal.memory import forgetting
from heclstm.model.graph import Array, Arrays
from heclstm.model.polynomial import evaluate as polynomial
from heclstm.model.polynomial import sigmoid

if TYPE_CHECKING:
    from heclstm.model.cells.diagonal.config import DiagonalConfig


def evaluate(config: DiagonalConfig, arrays: Arrays, spatial: Array) -> dict[str, Array]:
    """gates (B, T, P·H): the candidate, and what enters the gates; state, hidden (B, T, H)."""
    entering = spatial @ arrays["input_weight"].T + arrays["bias"]
    candidate, *rest = np.split(entering, config.projections, axis=2)
    if config.gate_degree is None:
        gates = [sigmoid(value) for value in rest]
    else:
        gates = [polynomial(row, z) for row, z in zip(arrays.get("gate_coefficients", ()), rest, strict=True)]
    kept = forgetting(config.memory, arrays["rate"], spatial.shape[1])
    taken = gates[0] * candidate if config.gated[0] else candidate
    state, states = np.zeros_like(taken[:, 0]), []
    for step in range(spatial.shape[1]):
        state = kept[step] * state + (1 - kept[step]) * taken[:, step]
        states.append(state)
    memory = np.stack(states, axis=1)
    values = {"gates": entering, "hidden": gates[-1] * memory if config.gated[1] else memory}
    return values | {"state": memory} if config.gated[1] else values
