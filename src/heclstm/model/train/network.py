"""SEQUENCE → SCORE in PyTorch, and the way from a trained network to a Model's folded arrays."""

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from heclstm.errors import ModelError
from heclstm.model.config import ModelConfig
from heclstm.model.differences.torch_module import HeDifferences
from heclstm.model.graph import Array
from heclstm.model.train import layers
from heclstm.model.train.layers import Box, Fading, Part
from heclstm.model.vote.torch_module import SequenceVote, WeightedUnit
from heclstm.model.weights import Model


class HeClstm(nn.Module):
    """The whole model: frames (B, T, C, H, W) → scores (B, 1), which are logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.differences = HeDifferences(config.channels, config.differences) if config.differences else None
        self.blocks = nn.ModuleList(block.module(config.in_channels(k)) for k, block in enumerate(config.blocks))
        self.add_module(config.cell.kind, config.cell.module(config.features))
        self.weighted_unit = WeightedUnit(config.features, config.cell.hidden_size)
        self.vote = SequenceVote(config.frames)

    @property
    def cell(self) -> Part:
        return cast(Part, self.get_submodule(self.config.cell.kind))

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        return (self.values(frames) if mask is None else self.values(frames, mask))["score"]

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Every value that `reference.forward` names, with the sequences of the batch on axis 0.

        mask: (B, T), which frames are real; the padding behind them gets no vote.
        """
        values = encoded(self.blocks, frames if self.differences is None else self.differences(frames))
        kind = self.config.cell.kind
        values |= {f"{kind}.{name}": value for name, value in self.cell(values["spatial"], **self._given()).items()}
        values["weighted_unit"] = self.weighted_unit(values["spatial"], values[f"{kind}.hidden"])
        values["contributions"] = self.vote(values["weighted_unit"], mask)
        values["score"] = values["contributions"].sum(1)
        return values

    def box(self) -> Box:
        """Of the features, (T, D) each: for all frames of pixels in [0, 1], in evaluation."""
        config, like = self.config, next(self.parameters())
        middle = like.new_full((config.frames, config.channels, config.height, config.width), 0.5)
        box = middle, middle
        for part in ([] if self.differences is None else [self.differences]) + list(self.blocks):
            box = cast(Part, part).box(box)
        middle, reach = (end.mean((2, 3)) for end in box)
        return middle, reach

    def _given(self) -> dict[str, Box]:
        """What the cell takes beside the features."""
        if not self.cell.boxed:
            return {}
        box = self.box()
        if not all(end.isfinite().all() for end in box):
            raise ModelError(
                "cell: got features without a finite range over all pictures, which it divides by; expected fewer "
                "blocks, or lower degrees; or take another cell"
            )
        return {"box": box}

    def blend(self, activations: float, gates: float) -> None:
        """How far the polynomials have replaced the exact functions: 0 not at all, 1 altogether."""
        layers.blend(self, activations, gates)

    def constrain(self) -> None:
        """To be called after every optimizer step."""
        layers.constrain(self)


def encoded(blocks: nn.ModuleList, frames: Tensor) -> dict[str, Tensor]:
    """frames (B, T, C, H, W) → the values of every block, and the spatial features (B, T, D)."""
    batch, count = frames.shape[:2]
    values, images = {}, frames.reshape(batch * count, *frames.shape[2:])
    for index, block in enumerate(blocks):
        made: dict[str, Tensor] = block(images)
        images = made["output"]
        for name, value in made.items():
            values[f"blocks.{index}.{name}".rstrip(".")] = value.reshape(batch, count, *value.shape[1:])
    values["spatial"] = images.mean((2, 3)).reshape(batch, count, -1)
    return values


@torch.no_grad()
def export(network: HeClstm, metadata: Mapping[str, Any] | None = None) -> Model:
    """Fold batch normalization (its running statistics) and return a Model with float64 arrays."""
    if any(module.blend != 1 for module in network.modules() if isinstance(module, Fading)):
        raise ModelError("export: got a network that is still blended with exact functions, expected blend(1, 1)")
    if network.cell.boxed:  # what holds by a little is not to be lost by rounding to 32 bits
        network = copy.deepcopy(network).double()
    parts = {f"blocks.{index}": block for index, block in enumerate(network.blocks)}
    parts |= {network.config.cell.kind: network.cell, "weighted_unit": network.weighted_unit, "vote": network.vote}
    if network.differences is not None:
        parts["differences"] = network.differences
    arrays: dict[str, Array] = {}
    for prefix, module in parts.items():
        given = network._given() if module is network.cell else {}
        arrays |= {f"{prefix}.{name}": array for name, array in cast(Part, module).export(**given).items()}
    return Model(network.config, arrays, dict(metadata or {}))
