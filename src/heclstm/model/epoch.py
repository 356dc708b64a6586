"""One pass over the training images: augmented batches → class-weighted loss + range penalties → AdamW."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from heclstm.data.augment import augment
from heclstm.data.prepare import prepare
from heclstm.errors import ModelError
from heclstm.model.network import HeClstm
from heclstm.model.recipe import RangeBounds, TrainConfig

Loss = Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]  # values, targets, what a positive weighs → a number


def sequence_loss(values: dict[str, Tensor], wanted: Tensor, weight: Tensor) -> Tensor:
    """Class-weighted cross-entropy of the score of each sequence."""
    return nn.functional.binary_cross_entropy_with_logits(values["score"][:, 0], wanted, pos_weight=weight)


def train_epoch(
    network: HeClstm,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    images: Sequence[Any] | NDArray[Any],
    targets: NDArray[np.float32],
    epoch: int,
    loss_of: Loss = sequence_loss,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[float, float]:
    """Train on raw images and targets in [0, 1]; return the mean loss and the mean range penalty.

    mask: (N, T), which frames vote; padding keeps its ranges all the same, since the server computes it too.
    """
    settings = config.optimization
    steps = max(1, len(images) // settings.batch_size)
    weight = torch.tensor(class_weight(targets))
    network.train()
    total_loss = total_penalty = 0.0
    for step, (rows, frames) in enumerate(_batches(images, config, epoch, steps)):
        wanted = torch.from_numpy(targets[rows])
        real = None if mask is None else torch.from_numpy(mask[rows])
        time = (epoch + step / steps) / settings.epochs
        network.blend(_ramp(time, settings.activation_span), _ramp(time, settings.gate_span))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(time, settings.warm_up)
        values = network.values(frames) if real is None else network.values(frames, real)
        loss = loss_of(values, wanted, weight)
        penalty = range_penalty(values, config.ranges, late=time >= config.ranges.max_from)
        optimizer.zero_grad()
        (loss + penalty).backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
        nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
        optimizer.step()
        network.constrain()
        total_loss += loss.item() / steps
        total_penalty += penalty.item() / steps
    if not math.isfinite(total_loss):
        raise ModelError(f"training: the loss is no longer finite in epoch {epoch + 1}; lower the learning rate")
    return total_loss, total_penalty


def class_weight(targets: NDArray[np.float32]) -> float:
    """What a positive weighs so that both classes weigh the same."""
    return float(np.sum(1 - targets) / np.sum(targets))


def range_penalty(values: dict[str, Tensor], bounds: RangeBounds, *, late: bool) -> Tensor:
    """What it costs that values leave their intervals; `late` adds the largest value of each layer."""
    named = dict(values)
    if "lstm.gates" in values:  # methods without an LSTM are trained for comparison
        i, f, g, o = values["lstm.gates"].chunk(4, dim=-1)
        named |= {"lstm.gates": torch.cat([i, f, o], dim=-1), "lstm.candidate": g}
    total = values["score"].new_zeros(())
    for name, value in named.items():
        if (bound := bounds.bound(name)) is not None:
            excess = (value.abs() - bound).relu()
            total = total + bounds.mean_weight * excess.square().mean()
            if late:
                total = total + bounds.max_weight * excess.max().square()
    return total


def parameter_groups(network: HeClstm, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels.

    None for biases, batch normalization and polynomial coefficients.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        spared = parameter.ndim < 2 or "activation" in name or "coefficients" in name
        (free if spared else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: HeClstm, count: int) -> None:
    """Running mean of the weights over epochs; count is how many are in it already."""
    for name, parameter in network.named_parameters():
        if count == 0:
            average[name] = parameter.detach().clone()
        else:
            average[name].lerp_(parameter, 1 / (count + 1))


def _batches(
    images: Sequence[Any] | NDArray[Any], config: TrainConfig, epoch: int, steps: int
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Every sample once per epoch in a new order, augmented anew; all drawn from (seed, epoch)."""
    rng = np.random.default_rng([config.seed, epoch])
    for rows in np.array_split(rng.permutation(len(images)), steps):
        changed = [augment(images[row], config.augmentation, rng) for row in rows]
        frames = np.stack([prepare(raw, config.preparation).frames for raw in changed])
        yield rows, torch.from_numpy(frames)


def _ramp(time: float, span: tuple[float, float]) -> float:
    start, end = span
    return 1.0 if time >= end else max(0.0, (time - start) / (end - start))


def _schedule(time: float, warm_up: float) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if time < warm_up:
        return 0.01 + 0.99 * time / warm_up
    return 0.5 * (1 + math.cos(math.pi * (time - warm_up) / (1 - warm_up)))
