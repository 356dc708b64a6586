"""Differences between frames as a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats
from heclstm.compiler.affine import SequenceMap, Shape


def differences(
    name: str, maps: Sequence[Floats], gain: Floats, offset: Floats, before: Shape, shape: Shape
) -> SequenceMap:
    """maps: (T, T) for each group of channels. gain, offset: of each channel."""
    positions = before[1] * before[2]
    features, frames = before[0] * positions, len(maps[0])
    total = sparse.csr_array((frames * len(maps) * features, frames * features))
    for place, (over_frames, gains) in enumerate(zip(maps, np.split(gain, len(maps)), strict=True)):
        column = np.eye(len(maps))[:, place : place + 1]  # where this group stands among a frame's channels
        scaled = sparse.kron(column, sparse.diags_array(np.repeat(gains, positions)))
        total = total + sparse.csr_array(sparse.kron(over_frames, scaled))
    return SequenceMap(name, total, np.tile(np.repeat(offset, positions), (frames, 1)), shape)
