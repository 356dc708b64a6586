"""Differences between frames in PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heclstm.model.differences.node import over_frames
from heclstm.model.graph import Array
from heclstm.model.train.layers import folded


class HeDifferences(nn.Module):
    """Frames (B, T, C, H, W) → the same with the channels of differences, each standardized by itself."""

    def __init__(self, channels: int, kinds: Sequence[str]) -> None:
        super().__init__()
        self.kinds = tuple(kinds)
        self.normalization = nn.BatchNorm2d(channels * (1 + len(kinds)), affine=False)

    def forward(self, frames: Tensor) -> Tensor:
        each = [frames]
        for kind in self.kinds:
            mixed = torch.as_tensor(over_frames(kind, frames.shape[1]), dtype=frames.dtype, device=frames.device)
            each.append(torch.einsum("ts,bschw->btchw", mixed, frames))
        together = torch.cat(each, dim=2)
        normalized: Tensor = self.normalization(together.flatten(0, 1))
        return normalized.reshape(together.shape)

    def export(self) -> dict[str, Array]:
        gain, offset = folded(self.normalization)
        return {"gain": gain, "offset": offset}
