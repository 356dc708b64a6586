"""HE-LSTM in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heclstm.model.graph import Array, Arrays
from heclstm.model.polynomial import evaluate as polynomial
from heclstm.model.polynomial import sigmoid

if TYPE_CHECKING:
    from heclstm.model.cells.lstm.config import LstmConfig


def evaluate(config: LstmConfig, arrays: Arrays, spatial: Array) -> dict[str, Array]:
    """gates (B, T, 4H): what enters them, in the order i, f, g, o; cell, hidden (B, T, H)."""
    batch, steps = spatial.shape[:2]
    projected = spatial @ arrays["input_weight"].T + arrays["bias"]
    hidden = cell = np.zeros((batch, config.hidden_size))
    history: dict[str, list[Array]] = {"gates": [], "cell": [], "hidden": []}
    for step in range(steps):
        gate = projected[:, step]
        if config.recurrent_gates:
            gate = gate + hidden @ arrays["recurrent_weight"].T
        blocks = gate.reshape(batch, 4, config.hidden_size)
        if config.gate_degree is None:
            i, f, o = (sigmoid(blocks[:, row]) for row in (0, 1, 3))
            g = np.tanh(blocks[:, 2])
        else:
            i, f, g, o = (polynomial(arrays["gate_coefficients"][row], blocks[:, row]) for row in range(4))
        cell = f * cell + i * g
        if config.cell_output == "tanh":
            hidden = o * np.tanh(cell)
        else:
            hidden = o * polynomial(arrays["cell_output_coefficients"], cell)
        for values, value in zip(history.values(), (gate, cell, hidden), strict=True):
            values.append(value)
    return {name: np.stack(values, axis=1) for name, values in history.items()}
