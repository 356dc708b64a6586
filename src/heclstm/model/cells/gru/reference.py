"""HE-GRU in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heclstm.model.graph import Array, Arrays
from heclstm.model.polynomial import evaluate as polynomial
from heclstm.model.polynomial import sigmoid

if TYPE_CHECKING:
    from heclstm.model.cells.gru.config import GruConfig


def evaluate(config: GruConfig, arrays: Arrays, spatial: Array) -> dict[str, Array]:
    """gates (B, T, P·H): what enters r, z and the candidate, in this order; hidden (B, T, H)."""
    batch, steps = spatial.shape[:2]
    projected = spatial @ arrays["input_weight"].T + arrays["bias"]
    hidden = np.zeros((batch, config.hidden_size))
    history: dict[str, list[Array]] = {"gates": [], "hidden": []}
    for step in range(steps):
        own = np.split(projected[:, step], config.projections, axis=1)
        back = np.split(hidden @ arrays["recurrent_weight"].T, config.projections, axis=1)
        entering = [mine + before for mine, before in zip(own[:-1], back[:-1], strict=True)]
        if config.gate_degree is None:
            gates = [sigmoid(value) for value in entering]
        else:
            rows = arrays["gate_coefficients"]
            gates = [polynomial(row, value) for row, value in zip(rows, entering, strict=True)]
        recalled = gates[0] * (back[-1] + arrays["candidate_bias"]) if config.reset_gate else back[-1]
        entering.append(own[-1] + recalled)
        if config.candidate == "tanh":
            candidate = np.tanh(entering[-1])
        else:
            candidate = polynomial(arrays["candidate_coefficients"], entering[-1])
        hidden = candidate + gates[-1] * (hidden - candidate)
        history["gates"].append(np.concatenate(entering, axis=1))
        history["hidden"].append(hidden)
    return {name: np.stack(values, axis=1) for name, values in history.items()}
