"""Models with random weights, scaled so that values stay near one at every layer."""

import numpy as np

from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.graph import Polynomial
from heclstm.model.weights import Model, expected_shapes


def random_model(config: ModelConfig, seed: int) -> Model:
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in expected_shapes(config).items():
        fan_in = max(1, int(np.prod(shape[1:])))
        arrays[name] = rng.normal(size=shape) / np.sqrt(fan_in)
    for node in [node for node in config.graph.nodes if isinstance(node, Polynomial)]:
        start = np.array([0.2, 0.5, 0.2, 0.03])[: node.degree + 1]
        signs = np.where(rng.random(node.channels) < 0.3, -1.0, 1.0)
        arrays[node.coefficients] = start * rng.uniform(0.6, 1.4, (node.channels, len(start))) * signs[:, None]
    arrays |= COEFFICIENTS.get(config.cell.kind, any_coefficients)(config.cell, rng)
    arrays["weighted_unit.alpha"] = rng.uniform(0.2, 0.8, 1)
    votes = np.exp(rng.normal(size=config.frames))
    arrays["vote.weight"] = votes / votes.sum()
    return Model(config, {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()})


def any_coefficients(cell, rng):
    """Those that training starts from, and something in every power."""
    start = {f"{cell.kind}.{name}": array for name, array in cell.start().items()}
    return {name: array * rng.uniform(0.8, 1.2, array.shape) + 0.01 for name, array in start.items()}


def lstm_coefficients(cell, rng):
    """The candidate gate has no quadratic term, and a φ of its own: what counts and golden costs are written for."""
    degree = cell.gate_degree
    sigmoid = np.array([0.5, 0.2, 0.01, -0.004])[: degree + 1] * rng.uniform(0.8, 1.2, (4, degree + 1))
    sigmoid[2] = np.array([0.0, 1.0, 0.0, -0.05])[: degree + 1]
    phi = np.array([0.0, 1.0] if cell.cell_output == "identity" else [0.01, 0.9, 0.02, -0.05])
    return {"lstm.gate_coefficients": sigmoid, "lstm.cell_output_coefficients": phi}


COEFFICIENTS = {"lstm": lstm_coefficients}


def small_config(**changes) -> ModelConfig:
    """Three frames of 2 × 8 × 8, two blocks, four hidden units. lstm: fields of its cell, unless there is another."""
    cell = LstmConfig(**{"hidden_size": 4, **changes.pop("lstm", {})})
    settings = {
        "frames": 3,
        "channels": 2,
        "height": 8,
        "width": 8,
        "blocks": (BlockConfig(out_channels=4), BlockConfig(out_channels=6)),
        "cell": cell,
    }
    return ModelConfig(**{**settings, **changes})


def random_frames(config: ModelConfig, count: int, seed: int) -> np.ndarray:
    shape = (count, config.frames, config.channels, config.height, config.width)
    return np.random.default_rng(seed).random(shape)
