"""What training makes small: the class-weighted loss of a batch, and the penalty for values outside their intervals."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.losses import FocalLoss
from numpy.typing import NDArray
from torch import Tensor, nn

from heclstm.model.graph import Range
from heclstm.model.recipe import LossSettings, RangeBounds

Loss = Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]  # values, targets, what a positive weighs → a number


def sequence_loss(values: dict[str, Tensor], wanted: Tensor, weight: Tensor) -> Tensor:
    """Class-weighted cross-entropy of the score of each sequence."""
    return nn.functional.binary_cross_entropy_with_logits(values["score"][:, 0], wanted, pos_weight=weight)


def focal_loss(gamma: float) -> Loss:
    """Lin et al., "Focal loss for dense object detection" (ICCV 2017): what is right already counts less.

    With gamma 0 this is `sequence_loss`.
    """

    each = FocalLoss(gamma=gamma, reduction="none")

    def loss(values: dict[str, Tensor], wanted: Tensor, weight: Tensor) -> Tensor:
        score = values["score"]
        missed, alarm = each(score, torch.ones_like(score))[:, 0], each(score, torch.zeros_like(score))[:, 0]
        mixed: Tensor = weight * wanted * missed + (1 - wanted) * alarm  # as in cross-entropy with soft labels
        return mixed.mean()

    return loss


def loss_of(settings: LossSettings) -> Loss:
    """The loss that a training file asks for."""
    return focal_loss(settings.focal_gamma) if settings.focal_gamma else sequence_loss


def class_weight(targets: NDArray[np.float32], factor: float = 1.0) -> float:
    """What a positive weighs: with factor 1, so much that both classes weigh the same."""
    return factor * float(np.sum(1 - targets) / np.sum(targets))


def range_penalty(values: dict[str, Tensor], ranges: Sequence[Range], settings: RangeBounds, *, late: bool) -> Tensor:
    """What it costs that values leave their intervals; `late` adds the largest value of each layer.

    ranges: what the model watches; those of values that a network does not have are left out.
    """
    total = values["score"].new_zeros(())
    for name, value in values.items():
        for each in ranges:
            if each.value == name and each.bound is not None:
                pieces = [value[..., piece] for piece in each.pieces(value.shape[-1])]
                part = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)
                excess = (part.abs() - settings.bounds[each.bound]).relu()
                total = total + settings.mean_weight * excess.square().mean()
                if late:
                    total = total + settings.max_weight * excess.max().square()
    return total
