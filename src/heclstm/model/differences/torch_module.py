"""Differences between frames in PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heclstm.model.differences.node import over_frames
from heclstm.model.graph import Array
from heclstm.model.train.layers import Box, folded, scaling


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

    def box(self, box: Box) -> Box:
        """What holds all that it makes of frames in a box, in evaluation. (T, C, H, W) each."""
        middle, reach = box
        mixed = [torch.as_tensor(over_frames(kind, len(middle))).to(middle) for kind in self.kinds]
        middles = [middle, *(torch.einsum("ts,schw->tchw", each, middle) for each in mixed)]
        reaches = [reach, *(torch.einsum("ts,schw->tchw", each.abs(), reach) for each in mixed)]
        gain, offset = (each[:, None, None] for each in scaling(self.normalization))
        return torch.cat(middles, 1) * gain + offset, torch.cat(reaches, 1) * gain

    def export(self) -> dict[str, Array]:
        gain, offset = folded(self.normalization)
        return {"gain": gain, "offset": offset}
