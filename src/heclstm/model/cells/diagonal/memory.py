"""The weights by which a state remembers frames: (H, T, T), row t what the state after frame t holds of each frame."""

from __future__ import annotations

from typing import Literal

import numpy as np

from heclstm.model.graph import Array
from heclstm.model.polynomial import sigmoid

Memory = Literal["mean", "leaky"]


def forgetting(memory: Memory, rate: Array, frames: int) -> Array:
    """f_t, (T, H), each in [0, 1): how much of the state before is kept in frame t, whatever the rates are."""
    if memory == "leaky":
        return np.tile(sigmoid(rate), (frames, 1))
    kept = np.zeros((frames, len(rate)))
    with np.errstate(over="ignore"):  # early frames may weigh infinitely more
        ratio = np.exp(-rate)
    share = np.ones(len(rate))  # 1 / S_t, of the newest frame; f_t = 1 − 1 / S_t
    for t in range(1, frames):
        share = share / (share + ratio)
        kept[t] = 1 - share
    return kept


def weights(memory: Memory, rate: Array, frames: int) -> Array:
    """c_t = Σ_s weights[:, t, s] · u_s, unrolled from f_t; none is negative, and no row has a sum above 1."""
    kept = forgetting(memory, rate, frames)
    made = np.zeros((len(rate), frames, frames))
    for t in range(frames):
        if t:
            made[:, t] = kept[t][:, None] * made[:, t - 1]
        made[:, t, t] = 1 - kept[t]
    return made
