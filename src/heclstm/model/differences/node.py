"""Differences between frames, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heclstm.model.graph import Array, Arrays, OverFrames, Shape

if TYPE_CHECKING:
    from heclstm.compiler.affine import SequenceMap

KINDS = ("mean", "first", "previous", "trend")
CAUSAL = ("first", "previous")  # what does not depend on later frames


def over_frames(kind: str, frames: int) -> Array:
    """(T, T): row t makes the channel of frame t from all frames."""
    itself = np.eye(frames)
    if kind == "mean":
        return itself - 1 / frames
    if kind == "first":
        return itself - np.eye(frames)[:1]
    if kind == "previous":
        made = itself - np.eye(frames, k=-1)
        made[0] = 0.0
        return made
    times = np.arange(frames) - (frames - 1) / 2
    slope = times * (frames - 1) / max(1.0, float(times @ times))
    return np.tile(slope, (frames, 1))


@dataclass(frozen=True, kw_only=True)
class Differences(OverFrames):
    """First the channels of the frame, then as many of each kind; the same for each member of an ensemble.

    gain, offset: (channels,), which standardize them.
    """

    kinds: tuple[str, ...]
    members: int = 1

    @property
    def arrays(self) -> dict[str, Shape]:
        return {f"{self.name}.gain": (self.shape[0],), f"{self.name}.offset": (self.shape[0],)}

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        images = values[self.source]
        each = [
            images,
            *(np.einsum("ts,bschw->btchw", over_frames(kind, images.shape[1]), images) for kind in self.kinds),
        ]
        gain, offset = (arrays[f"{self.name}.{name}"][:, None, None] for name in ("gain", "offset"))
        return {self.value: np.concatenate(each * self.members, axis=2) * gain + offset}

    def sequence_map(self, arrays: Arrays, frames: int) -> SequenceMap:
        from heclstm.model.differences.lowering import differences

        maps = [np.eye(frames), *(over_frames(kind, frames) for kind in self.kinds)] * self.members
        return differences(
            self.name, maps, arrays[f"{self.name}.gain"], arrays[f"{self.name}.offset"], self.before, self.shape
        )
