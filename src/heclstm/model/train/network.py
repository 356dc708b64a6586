"""SEQUENCE → SCORE in PyTorch, and the way from a trained network to a Model's folded arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heclstm.errors import ModelError
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.polynomial import cell_output_start
from heclstm.model.train.layers import HeLstm, PolynomialActivation, SequenceVote, WeightedUnit
from heclstm.model.weights import Array, Model

BLOCK_GAIN = 0.4  # of batch normalization; started at 1, training with squares diverges


class Block(nn.Module):
    """Convolution → batch normalization → activation → (pooling)."""

    def __init__(self, in_channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.config = config
        self.convolution = nn.Conv2d(
            in_channels, config.out_channels, config.kernel, config.stride, config.padding, bias=False
        )
        self.normalization = nn.BatchNorm2d(config.out_channels)
        self.activation = PolynomialActivation(config.out_channels, config.activation_degree)
        self.pool_factor = config.pool_factor
        self.pool = nn.Identity() if config.pool is None else nn.AvgPool2d(config.pool)
        nn.init.constant_(self.normalization.weight, BLOCK_GAIN)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What leaves the block, and what entered its activation."""
        before = self.normalization(self.convolution(images))
        return self.pool(self.activation(before)) * self.pool_factor, before


class HeClstm(nn.Module):
    """The whole model: frames (B, T, C, H, W) → scores (B, K), which are logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config.in_channels(k), block) for k, block in enumerate(config.blocks))
        self.lstm = HeLstm(config.features, config.lstm)
        self.weighted_unit = WeightedUnit(config.features, config.lstm.hidden_size, config.classes)
        self.vote = SequenceVote(config.frames)

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        return (self.values(frames) if mask is None else self.values(frames, mask))["score"]

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Every value that `reference.forward` names, with the sequences of the batch on axis 0.

        mask: (B, T), which frames are real; the padding behind them gets no vote.
        """
        batch, count = frames.shape[:2]
        values, images = {}, frames.reshape(batch * count, *frames.shape[2:])
        for index, block in enumerate(self.blocks):
            images, before = block(images)
            values[f"blocks.{index}"] = before.reshape(batch, count, *before.shape[1:])
            values[f"blocks.{index}.output"] = images.reshape(batch, count, *images.shape[1:])
        values["spatial"] = images.mean((2, 3)).reshape(batch, count, -1)
        values["lstm.hidden"], values["lstm.cell"], values["lstm.gates"] = self.lstm(values["spatial"])
        values["weighted_unit"] = self.weighted_unit(values["spatial"], values["lstm.hidden"])
        values["contributions"] = self.vote(values["weighted_unit"], mask)
        values["score"] = values["contributions"].sum(1)
        return values

    def blend(self, activations: float, gates: float) -> None:
        """How far the polynomials have replaced the exact functions: 0 not at all, 1 altogether."""
        for module in self.modules():
            if isinstance(module, PolynomialActivation):
                module.blend = activations
        self.lstm.cell.blend = gates

    def constrain(self) -> None:
        """To be called after every optimizer step."""
        for module in self.modules():
            if isinstance(module, PolynomialActivation):
                module.constrain()


@torch.no_grad()
def export(network: HeClstm, metadata: Mapping[str, Any] | None = None) -> Model:
    """Fold batch normalization (its running statistics) and return a Model with float64 arrays."""
    if network.lstm.cell.blend != 1 or any(block.activation.blend != 1 for block in _blocks(network)):
        raise ModelError("export: got a network that is still blended with exact functions, expected blend(1, 1)")
    arrays: dict[str, Array] = {}
    for index, block in enumerate(_blocks(network)):
        gain, offset = _folded(block.normalization)
        arrays[f"blocks.{index}.weight"] = _array(block.convolution.weight) * gain[:, None, None, None]
        arrays[f"blocks.{index}.bias"] = offset
        if block.config.activation_degree is not None:
            arrays[f"blocks.{index}.coefficients"] = _array(block.activation.coefficients)
    lstm, cell = network.config.lstm, network.lstm.cell
    gain, offset = _folded(network.lstm.normalization)
    arrays["lstm.input_weight"] = _array(network.lstm.input_weight.weight) * gain[:, None]
    arrays["lstm.bias"] = offset
    if cell.recurrent_weight is not None:
        arrays["lstm.recurrent_weight"] = _array(cell.recurrent_weight)
    if lstm.gate_degree is not None:
        arrays["lstm.gate_coefficients"] = _array(cell.gate_coefficients)
    if lstm.cell_output == "identity":
        arrays["lstm.cell_output_coefficients"] = cell_output_start("identity")
    elif lstm.cell_output == "cubic":
        arrays["lstm.cell_output_coefficients"] = _array(cell.cell_output_coefficients)
    unit = network.weighted_unit
    for part, layer in (("spatial", unit.spatial), ("temporal", unit.temporal)):
        arrays[f"weighted_unit.{part}_weight"] = _array(layer.weight)
        arrays[f"weighted_unit.{part}_bias"] = _array(layer.bias)
    arrays["weighted_unit.alpha"] = _array(unit.alpha)
    arrays["vote.weight"] = _array(network.vote.weight)
    return Model(network.config, arrays, dict(metadata or {}))


def _blocks(network: HeClstm) -> list[Block]:
    return [block for block in network.blocks if isinstance(block, Block)]


def _folded(normalization: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """(x − mean) / √(var + ε) · weight + bias, as x · gain + offset."""
    mean, variance = normalization.running_mean, normalization.running_var
    if mean is None or variance is None:
        raise ModelError("export: got batch normalization without running statistics, expected a trained network")
    gain = _array(normalization.weight) / np.sqrt(_array(variance) + normalization.eps)
    return gain, _array(normalization.bias) - _array(mean) * gain


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy().copy()
