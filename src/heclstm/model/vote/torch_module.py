"""Weighted unit and sequence voting in PyTorch."""

import torch
from torch import Tensor, nn

from heclstm.model.graph import Array
from heclstm.model.train.layers import array_of


class WeightedUnit(nn.Module):
    """y_t = α·(w_s·s_t + b_s) + (1 − α)·(w_h·h_t + b_h), with α in (0, 1) learned."""

    def __init__(self, features: int, hidden_size: int) -> None:
        super().__init__()
        self.spatial = nn.Linear(features, 1)
        self.temporal = nn.Linear(hidden_size, 1)
        self.alpha_logit = nn.Parameter(torch.zeros(1))

    @property
    def alpha(self) -> Tensor:
        """(1,)"""
        return self.alpha_logit.sigmoid()

    def forward(self, spatial: Tensor, hidden: Tensor) -> Tensor:
        mixed: Tensor = self.alpha * self.spatial(spatial) + (1 - self.alpha) * self.temporal(hidden)
        return mixed

    def export(self) -> dict[str, Array]:
        arrays = {}
        for part, layer in (("spatial", self.spatial), ("temporal", self.temporal)):
            arrays[f"{part}_weight"] = array_of(layer.weight)
            arrays[f"{part}_bias"] = array_of(layer.bias)
        return {**arrays, "alpha": array_of(self.alpha)}


class SequenceVote(nn.Module):
    """Contributions v_t·y_t, whose sum is the score.

    V is a softmax of learned logits, so it starts as the mean. Frames that a mask (B, T) calls unreal get no vote.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(frames))

    @property
    def weight(self) -> Tensor:
        """(frames,), positive, with sum 1."""
        return self.logits.softmax(0)

    def forward(self, frame_scores: Tensor, mask: Tensor | None = None) -> Tensor:
        votes = self.weight[:, None] * frame_scores
        return votes if mask is None else votes * mask[..., None]

    def export(self) -> dict[str, Array]:
        return {"weight": array_of(self.weight)}
