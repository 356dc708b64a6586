"""Methods that compete with HE-CLSTM, and HE-CLSTM with parts taken away.

    per_frame     CNN → dense, every frame trained to tell the label by itself
                  (read as the best single frame, chosen on validation, or as the mean of all frames)
    own_frame     the same with a CNN of its own for each time point (T times the weights; read in the same two ways)
    frame_vote    CNN → dense for each frame → learned vote, trained as a whole
    stacked       frames become channels of one image → CNN → dense
    mean_pooled   CNN → features averaged over the frames → dense → square → dense
    resnet        small residual network with ReLU, mean score of the frames; it cannot run encrypted
    he_clstm      as shipped; exact_twin: ReLU, sigmoid and tanh
    temporal_only, last_frame, mean_vote
                  he_clstm without weighted unit, without voting, with a vote that is not learned
    identity      he_clstm whose LSTM begins with the identity as its recurrence

All share the encoder, its polynomial activations and the training of `heclstm.model`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from heclstm.model.cells.torch_module import PROJECTION_GAIN, RECURRENT_GAIN
from heclstm.model.config import ModelConfig
from heclstm.model.train import layers
from heclstm.model.train.layers import PolynomialActivation
from heclstm.model.train.losses import Loss, sequence_loss
from heclstm.model.train.network import HeClstm, encoded
from heclstm.model.vote.torch_module import SequenceVote


class Competitor(nn.Module):
    """An encoder without an LSTM; what follows it is up to the subclass. Trained through `values` as HeClstm is."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(block.module(config.in_channels(k)) for k, block in enumerate(config.blocks))

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The score (B, 1), and what the range penalty looks at. mask: (B, T), which frames are real."""
        raise NotImplementedError

    def forward(self, frames: Tensor) -> Tensor:
        return self.values(frames)["score"]

    def blend(self, activations: float, gates: float) -> None:
        layers.blend(self, activations, gates)

    def constrain(self) -> None:
        layers.constrain(self)


class PerFrame(Competitor):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.features, 1)

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = encoded(self.blocks, frames)
        values["frame_scores"] = self.head(values["spatial"])[..., 0]
        values["score"] = mean_of_real(values["frame_scores"][..., None], mask)
        return values


class OwnFrame(nn.Module):
    """As many networks as frames, each of which only ever sees the frame at its place."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.networks = nn.ModuleList(PerFrame(replace(config, frames=1)) for _ in range(config.frames))

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        each = [network.values(frames[:, [t]]) for t, network in enumerate(self.networks)]
        values = {name: torch.cat([found[name] for found in each], 1) for name in each[0]}
        values["score"] = mean_of_real(values["frame_scores"][..., None], mask)
        return values

    def forward(self, frames: Tensor) -> Tensor:
        return self.values(frames)["score"]

    def blend(self, activations: float, gates: float) -> None:
        for network in self.networks:
            network.blend(activations, gates)

    def constrain(self) -> None:
        for network in self.networks:
            network.constrain()


class FrameVote(PerFrame):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.vote = SequenceVote(config.frames)

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = super().values(frames)
        values["score"] = self.vote(values["frame_scores"][..., None], mask).sum(1)
        return values


class Stacked(PerFrame):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__(replace(config, frames=1, channels=config.frames * config.channels))

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Padding repeats the last frame, and is seen as such."""
        return super().values(frames.flatten(1, 2)[:, None])


class MeanPooled(Competitor):
    """The hidden layer is as wide as HE-CLSTM's state."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        hidden = config.cell.hidden_size
        self.dense = nn.Linear(config.features, hidden, bias=False)
        self.normalization = nn.BatchNorm1d(hidden)
        nn.init.constant_(self.normalization.weight, PROJECTION_GAIN)
        self.activation = PolynomialActivation(hidden, config.blocks[-1].activation_degree)
        self.head = nn.Linear(hidden, 1)

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = encoded(self.blocks, frames)
        before = self.normalization(self.dense(mean_of_real(values["spatial"], mask)))
        values["score"] = self.head(self.activation(before[..., None, None])[..., 0, 0])
        return values


class Residual(nn.Module):
    """Two 3×3 convolutions beside a way that leaves them out."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(entering, leaving, 3, stride, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU(),
            nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False),
            nn.BatchNorm2d(leaving),
        )
        self.short: nn.Module = nn.Identity()
        if entering != leaving or stride > 1:
            self.short = nn.Sequential(nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving))

    def forward(self, images: Tensor) -> Tensor:
        summed: Tensor = self.body(images) + self.short(images)
        return summed.relu()


class ResNet(Competitor):
    """Residual blocks of 16, 32 and 64 channels on every frame, and the mean of the frames' scores."""

    WIDTHS = (16, 32, 64)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList()
        first = self.WIDTHS[0]
        layers = [nn.Conv2d(config.channels, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
        widths = zip((first, *self.WIDTHS), self.WIDTHS, strict=False)
        layers += [Residual(entering, leaving, 2 if k else 1) for k, (entering, leaving) in enumerate(widths)]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(self.WIDTHS[-1], 1)

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        features = self.body(frames.flatten(0, 1)).mean((2, 3)).reshape(*frames.shape[:2], -1)
        scores = self.head(features)
        return {"frame_scores": scores[..., 0], "score": mean_of_real(scores, mask)}


class TemporalOnly(HeClstm):
    """Without the weighted unit: the spatial features reach the score through the LSTM alone."""

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = super().values(frames, mask)
        values["weighted_unit"] = self.weighted_unit.temporal(values[f"{self.config.cell.kind}.hidden"])
        values["score"] = self.vote(values["weighted_unit"], mask).sum(1)
        return values


class IdentityRecurrence(HeClstm):
    """The LSTM's recurrent weights begin as a multiple of the identity instead of orthogonal."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        weight = self.get_parameter("lstm.cell.recurrent_weight")
        each = RECURRENT_GAIN * torch.eye(weight.shape[1])
        weight.data.copy_(each.repeat(len(weight) // len(each), 1))


class LastFrame(HeClstm):
    """Without voting: the last frame's state decides."""

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = super().values(frames, mask)
        last = -1 if mask is None else mask.sum(1) - 1
        return {**values, "score": values["weighted_unit"][torch.arange(len(frames)), last]}


class MeanVote(HeClstm):
    """The vote stays the mean."""

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = super().values(frames, mask)
        return {**values, "score": mean_of_real(values["weighted_unit"], mask)}


def mean_of_real(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the frames (axis 1) that a mask (B, T) calls real; all, if there is none."""
    if mask is None:
        return values.mean(1)
    real = mask[..., None].to(values.dtype)
    return (values * real).sum(1) / real.sum(1)


def frame_loss(values: dict[str, Tensor], wanted: Tensor, weight: Tensor) -> Tensor:
    """Every frame is asked for the label of its sequence."""
    scores = values["frame_scores"]
    return nn.functional.binary_cross_entropy_with_logits(scores, wanted[:, None].expand_as(scores), pos_weight=weight)


@dataclass(frozen=True)
class Method:
    """build: from the configuration of HE-CLSTM to a network whose `values` hold a score."""

    title: str
    build: Callable[[ModelConfig], nn.Module]
    loss: Loss = sequence_loss


METHODS: dict[str, Method] = {
    "he_clstm": Method("HE-CLSTM", HeClstm),
    "exact_twin": Method("exact twin (ReLU, sigmoid, tanh)", lambda config: HeClstm(config.exact_twin())),
    "per_frame": Method("per-frame CNN", PerFrame, frame_loss),
    "own_frame": Method("a CNN of its own for each frame", OwnFrame, frame_loss),
    "frame_vote": Method("per-frame CNN, learned vote", FrameVote),
    "stacked": Method("frames stacked as channels", Stacked),
    "mean_pooled": Method("mean-pooled features, dense", MeanPooled),
    "resnet": Method("small ReLU ResNet, mean score", ResNet),
    "temporal_only": Method("without weighted unit", TemporalOnly),
    "identity": Method("recurrence that begins as the identity", IdentityRecurrence),
    "last_frame": Method("without voting (last frame)", LastFrame),
    "mean_vote": Method("vote not learned (mean)", MeanVote),
}


@torch.no_grad()
def parameters_of(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in network.parameters())
