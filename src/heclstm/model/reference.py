"""SEQUENCE → SCORE straight from a model's arrays, NumPy only, in float64: what calibration and reports are
made with.

Names of the values, each with the sequences of the batch on axis 0:

    blocks.{k} (B, T, O, h, w)      what enters the activation of block k
    blocks.{k}.output               what leaves the block, after pooling
    spatial (B, T, D)               s_t
    {cell}.gates, {cell}.hidden …   of the cell, by its kind: lstm.gates (B, T, 4H) in the order i, f, g, o
    weighted_unit (B, T, 1)         y_t
    contributions (B, T, 1)         v_t · y_t
    score (B, 1)                    their sum, a logit
"""

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import SequenceError
from heclstm.model.graph import Array
from heclstm.model.weights import Model

CHUNK = 16  # sequences at a time, so that unfolded images stay in the processor's cache


def forward(model: Model, frames: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> dict[str, Array]:
    """Evaluate frames (B, T, C, H, W) and return every value named above.

    mask: (B, T), which frames are real. Padding stands behind them (`data.fit` says why), so that no state of a
    real frame depends on it; its contributions are 0. It passes through all layers, as it does under encryption.
    """
    config = model.config
    expected = (config.frames, config.channels, config.height, config.width)
    if frames.ndim != 5 or frames.shape[1:] != expected:
        raise SequenceError(
            f"model input: got shape {frames.shape}, expected (sequences, {', '.join(map(str, expected))})"
        )
    if mask is not None and mask.shape != frames.shape[:2]:
        raise SequenceError(f"model input: got a mask of shape {mask.shape}, expected {frames.shape[:2]}")
    if mask is not None:
        config.require_causal("model input")
    chunks = [
        config.graph.evaluate(model.arrays, frames[start : start + CHUNK].astype(np.float64))
        for start in range(0, max(len(frames), 1), CHUNK)
    ]
    values = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    if mask is not None:
        values["contributions"] = np.where(mask[..., None], values["contributions"], 0.0)
        values["score"] = values["contributions"].sum(axis=1)
    return values
