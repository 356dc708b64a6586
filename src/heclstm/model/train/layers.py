"""What the layers of a network are made of in PyTorch: polynomials that exact functions fade into, and their export."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from heclstm.errors import ModelError
from heclstm.model.graph import Array
from heclstm.model.polynomial import HERMITE_RELU

Box = tuple[Tensor, Tensor]  # middle, reach to each side

# The compiler folds √|c2| into the convolution before, which a vanishing c2 would make impossible.
SMALLEST_SQUARE = 0.05


def evaluate(coefficients: Tensor, x: Tensor) -> Tensor:
    """Horner's rule; coefficients (…, degree + 1) with ascending powers, where … broadcasts against x."""
    result = coefficients[..., -1]
    for j in range(coefficients.shape[-1] - 2, -1, -1):
        result = result * x + coefficients[..., j]
    return result


def box_of(coefficients: Tensor, box: Box) -> Box:
    """Of Σ c_j x^j over a box, degree 2 or 3; coefficients (…, degree + 1), where … broadcasts against the box."""
    low, high = box[0] - box[1], box[0] + box[1]
    with torch.no_grad():  # where the slope c1 + 2 c2 x + 3 c3 x² is zero; there, no end moves with x
        c1, c2, *c3 = coefficients.unbind(-1)[1:]
        if c3:
            root = (c2**2 - 3 * c3[0] * c1).clamp(min=0).sqrt()
            q = -(c2 + torch.where(c2 < 0, -root, root))
            turns = [q / (3 * c3[0]), c1 / q]
        else:
            turns = [-c1 / (2 * c2)]
        turns = [turn.nan_to_num(0.0).expand_as(low) for turn in turns]
    points = [
        low,
        high,
        *(turn.clamp(low, high) for turn in turns),
    ]  # one that lies outside is an end, and moves with it
    values = torch.stack([evaluate(coefficients, x) for x in points])
    lowest, highest = values.amin(0), values.amax(0)
    return (lowest + highest) / 2, (highest - lowest) / 2


class Fading(nn.Module):
    """Polynomials beside the exact functions that they replace.

    `blend` goes from the exact function (0) to the polynomial (1) while training goes on; at 1 only the polynomial is
    left. span: which of the recipe's two spans it follows.
    """

    span: ClassVar[Literal["activations", "gates"]]

    def __init__(self) -> None:
        super().__init__()
        self.blend = 1.0

    def faded(self, exact: Callable[[Tensor], Tensor], x: Tensor, polynomial: Tensor) -> Tensor:
        """Between exact(x), which is not asked for at the end, and what the polynomial made of x."""
        return polynomial if self.blend == 1 else torch.lerp(exact(x), polynomial, self.blend)

    def constrain(self) -> None:
        """Bring coefficients back to where they may be, after an optimizer step."""


class Part(nn.Module):
    """A block or a cell of a network. boxed: whether a cell is given the box of the features in both methods, too."""

    boxed: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Its values by name."""

    @abstractmethod
    def export(self) -> dict[str, Array]:
        """Its arrays in a model file, in float64, with batch normalization folded in."""

    def box(self, box: Box) -> Box:
        """Of a block: what holds all that it makes of images in a box, in evaluation. (T, C, H, W) each."""
        raise ModelError(
            f"cell: got blocks of {type(self).__name__}, which do not say how far they reach, expected some that do; "
            "use convolutional blocks, or another cell"
        )


def blend(network: nn.Module, activations: float, gates: float) -> None:
    """How far the polynomials of a network have replaced the exact functions: 0 not at all, 1 altogether."""
    for module in network.modules():
        if isinstance(module, Fading):
            module.blend = activations if module.span == "activations" else gates


def constrain(network: nn.Module) -> None:
    """To be called after every optimizer step."""
    for module in network.modules():
        if isinstance(module, Fading):
            module.constrain()


class PolynomialActivation(Fading):
    """Per channel Σ c_j x^j, trainable, started from the Hermite expansion of ReLU.

    Degree None is ReLU itself.
    """

    span: ClassVar[Literal["activations", "gates"]] = "activations"

    def __init__(self, channels: int, degree: int | None = 2) -> None:
        super().__init__()
        self.degree = degree
        if degree is not None:
            start = torch.tensor(HERMITE_RELU + (0.0,) * (degree - 2))
            self.raw = nn.Parameter(start.repeat(channels, 1))

    @property
    def coefficients(self) -> Tensor:
        """(channels, degree + 1), with c2 kept at SMALLEST_SQUARE or more."""
        square = self.raw[:, 2:3]
        # not clamp: its gradient is 0 on the border itself, where `constrain` puts what went below
        square = torch.where(square < SMALLEST_SQUARE, SMALLEST_SQUARE, square)
        return torch.cat([self.raw[:, :2], square, self.raw[:, 3:]], dim=1)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring c2 back to the border after an optimizer step, where its gradient is alive again."""
        if self.degree is not None:
            self.raw[:, 2].clamp_(min=SMALLEST_SQUARE)

    def forward(self, x: Tensor) -> Tensor:
        if self.degree is None:
            return x.relu()
        return self.faded(torch.relu, x, evaluate(self.coefficients[:, None, None, :], x))

    def box(self, box: Box) -> Box:
        """What holds all that it makes of images in a box, where nothing fades."""
        if self.degree is None:
            low, high = (box[0] - box[1]).relu(), (box[0] + box[1]).relu()
            return (low + high) / 2, (high - low) / 2
        return box_of(self.coefficients[:, None, None, :], box)


def scaling(normalization: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch normalization does in evaluation, x · gain + offset, with gradients; (channels,) each."""
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None
    assert variance is not None
    gain = (variance + normalization.eps).rsqrt()
    if not normalization.affine:
        return gain, -mean * gain
    gain = normalization.weight * gain
    return gain, normalization.bias - mean * gain


def folded(normalization: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """(x − mean) / √(var + ε) · weight + bias, as x · gain + offset."""
    mean, variance = normalization.running_mean, normalization.running_var
    if mean is None or variance is None:
        raise ModelError("export: got batch normalization without running statistics, expected a trained network")
    gain = 1 / np.sqrt(array_of(variance) + normalization.eps)
    if normalization.affine:
        gain = array_of(normalization.weight) * gain
    offset = -array_of(mean) * gain
    return gain, array_of(normalization.bias) + offset if normalization.affine else offset


def array_of(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy().copy()
