"""How far values of the diagonal cell reach at most, for all inputs there can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heclstm.model.cells.diagonal.memory import weights
from heclstm.model.graph import Arrays
from heclstm.model.interval import FrameMap, Interval, Linear, of_polynomial, of_product

if TYPE_CHECKING:
    from heclstm.model.cells.diagonal import DiagonalConfig


def reach(config: DiagonalConfig, arrays: Arrays, features: FrameMap) -> dict[str, Interval]:
    """By the names of `evaluate`, (T, …) each."""
    entering = features(arrays["input_weight"], arrays["bias"])
    candidate, *rest = zip(*(np.split(end, config.projections, axis=1) for end in entering), strict=True)
    gates = [of_polynomial(row, *z) for row, z in zip(arrays.get("gate_coefficients", ()), rest, strict=True)]
    low, high = of_product(gates[0], candidate) if config.gated[0] else candidate
    memory = weights(config.memory, arrays["rate"], len(low))  # none is negative: each end goes to its own
    state = np.einsum("hts,sh->th", memory, low), np.einsum("hts,sh->th", memory, high)
    values = {"gates": entering, "hidden": of_product(gates[-1], state) if config.gated[1] else state}
    return values | {"state": state} if config.gated[1] else values


def linear(config: DiagonalConfig, arrays: Arrays, frames: int) -> Linear:
    """Without gates: h_t = Σ_s weights[:, t, s] ⊙ (W s_s + b)."""
    return Linear(weights(config.memory, arrays["rate"], frames), arrays["input_weight"], arrays["bias"])
