"""A model before training: what its program costs does not depend on its weights."""

from __future__ import annotations

import numpy as np

from heclstm.model.config import ModelConfig
from heclstm.model.ensemble import joined
from heclstm.model.graph import Array, Polynomial
from heclstm.model.polynomial import HERMITE_RELU
from heclstm.model.weights import Model, expected_shapes


def untrained(config: ModelConfig, seed: int = 0) -> Model:
    """Random weights of a size that keeps values near one; polynomials as training starts from them."""
    if config.members > 1:
        return joined([untrained(config.member, seed + k) for k in range(config.members)])
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for name, shape in expected_shapes(config).items():
        arrays[name] = rng.normal(size=shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))
    for node in config.graph.nodes:
        if isinstance(node, Polynomial) and node.degree is not None:
            arrays[node.coefficients] = np.tile((*HERMITE_RELU, *[0.0] * (node.degree - 2)), (node.channels, 1))
    arrays |= {f"{config.cell.kind}.{name}": array for name, array in config.cell.start().items()}
    arrays["weighted_unit.alpha"] = np.full(1, 0.5)
    arrays["vote.weight"] = np.full(config.frames, 1 / config.frames)
    return Model(config, arrays)
