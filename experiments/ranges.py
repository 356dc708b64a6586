"""Which sequences leave the calibrated ranges, and where."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.model.calibrate import calibrate, ranged
from heclstm.model.reference import forward
from heclstm.model.weights import Model

CHUNK = 256


def limits_of(model: Model, frames: NDArray[np.floating]) -> dict[str, float]:
    """The limits that `heclstm calibrate` would store."""
    ranges: Mapping[str, Mapping[str, float]] = calibrate(model, frames).metadata["ranges"]
    return {name: each["limit"] for name, each in ranges.items()}


def largest_of(model: Model, frames: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """The largest absolute value of each layer, for each sequence."""
    found = []
    for start in range(0, len(frames), CHUNK):
        with np.errstate(over="ignore", invalid="ignore"):
            values = ranged(model, forward(model, frames[start : start + CHUNK]))
            found.append({name: np.abs(v).reshape(len(v), -1).max(axis=1) for name, v in values})
    return {name: np.concatenate([chunk[name] for chunk in found]) for name in found[0]}


def outside(largest: Mapping[str, NDArray[np.float64]], limits: Mapping[str, float]) -> NDArray[np.bool_]:
    """(sequences,): true where any layer leaves its limit, or is not a number."""
    mask: NDArray[np.bool_] = np.any([~(largest[name] <= limit) for name, limit in limits.items()], axis=0)
    return mask


def summary(largest: Mapping[str, NDArray[np.float64]], limits: Mapping[str, float]) -> dict[str, Any]:
    """Counts over the sequences; factor: the largest value as a multiple of its layer's limit."""
    mask = outside(largest, limits)
    worst = {name: float(largest[name].max() / limit) for name, limit in limits.items()}
    layer = max(worst, key=lambda name: worst[name])
    found = {}
    if "score" in limits:  # what a hospital refuses by: it sees no other layer
        refused = int((~(largest["score"] <= limits["score"])).sum())
        found = {"score_factor": worst["score"], "refused": refused}
    return {
        **found,
        "outside": int(mask.sum()),
        "of": len(mask),
        "factor": worst[layer],
        "layer": layer,
        "largest_preactivation": max(float(largest[n].max()) for n in limits if n.count(".") == 1 and "blocks" in n),
        "largest_cell": float(largest["lstm.cell"].max()),
    }
