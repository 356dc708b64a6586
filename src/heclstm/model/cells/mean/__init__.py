"""The mean of the frames, for sets where their order means nothing.

    m_t = (s_1 + … + s_t) / t        h_t = p(W m_t + b)

Nothing is remembered but a mean, and no weight depends on the place of a frame. It is one linear map over all frames,
for any number of them, so nothing can run away, and `reach` bounds all.

    activation_degree    1: linear (p(x) = x); the vote takes the map over, and no level is left but that of W·s
                         2: p is a trained quadratic of each unit, at one level more. Then h_t tells what no mean of the
                            scores of single frames can: how features of different frames go together
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np

from heclstm.model.cells.base import Cell
from heclstm.model.fields import OneOf, Whole, check_fields
from heclstm.model.graph import Array, Arrays, Range, Shape
from heclstm.model.interval import FrameMap, Interval, Linear, of_polynomial
from heclstm.model.polynomial import HERMITE_RELU, evaluate

if TYPE_CHECKING:
    from heclstm.model.cells.mean.lowering import Mean
    from heclstm.model.cells.mean.torch_module import HeMean

ENTERING = 4.0  # within which training keeps what enters the activation, as that of a block


def shares(frames: int) -> Array:
    """(T, T): row t is what m_t takes of each frame."""
    return np.tril(np.ones((frames, frames))) / np.arange(1.0, frames + 1)[:, None]


@dataclass(frozen=True)
class MeanConfig(Cell):
    """The layer of means. activation_degree None is ReLU, for exact twins.

    input_weight (H, D)   bias (H,)   coefficients (H, 3), with degree 2
    """

    kind: ClassVar[str] = "mean"
    causal: ClassVar[bool] = True

    hidden_size: Annotated[int, Whole(1)]
    activation_degree: Annotated[int | None, OneOf(None, 1, 2)] = 2

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def projections(self) -> int:
        return 1

    @property
    def ranges(self) -> tuple[Range, ...]:
        entering = Range("entering", "entering", bound="entering", default=ENTERING)
        return entering, Range("hidden", "hidden")

    @property
    def exact(self) -> str | None:
        if self.activation_degree is not None:
            return None
        return "got activation_degree None, expected polynomials; train with activation_degree 1 or 2"

    def exact_twin(self) -> Self:
        """A linear one has nothing that is not exact."""
        return self if self.activation_degree == 1 else replace(self, activation_degree=None)

    def shallower(self) -> dict[str, Cell]:
        return {"activation_degree = 1": replace(self, activation_degree=1)} if self.activation_degree != 1 else {}

    def arrays(self, features: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"input_weight": (self.hidden_size, features), "bias": (self.hidden_size,)}
        return shapes | {name: array.shape for name, array in self.start().items()}

    def start(self) -> dict[str, Array]:
        """That of a block's activation."""
        return {"coefficients": np.tile(HERMITE_RELU, (self.hidden_size, 1))} if self.activation_degree == 2 else {}

    def evaluate(self, arrays: Arrays, spatial: Array) -> dict[str, Array]:
        """entering, hidden (B, T, H)"""
        means = np.cumsum(spatial, axis=1) / np.arange(1.0, spatial.shape[1] + 1)[:, None]
        entering = means @ arrays["input_weight"].T + arrays["bias"]
        if self.activation_degree is None:
            hidden = np.maximum(entering, 0.0)
        else:
            hidden = evaluate(arrays["coefficients"], entering) if self.activation_degree == 2 else entering
        return {"entering": entering, "hidden": hidden}

    def reach(self, arrays: Arrays, features: FrameMap) -> dict[str, Interval]:
        low, high = (shares(len(end)) @ end for end in features(arrays["input_weight"], arrays["bias"]))
        hidden = of_polynomial(arrays["coefficients"], low, high) if self.activation_degree == 2 else (low, high)
        return {"entering": (low, high), "hidden": hidden}

    def linear(self, arrays: Arrays, frames: int) -> Linear | None:
        if self.activation_degree != 1:
            return None
        memory = np.tile(shares(frames), (self.hidden_size, 1, 1))
        return Linear(memory, arrays["input_weight"], arrays["bias"])

    def kernel(self) -> type[Mean]:
        from heclstm.model.cells.mean.lowering import Mean

        return Mean

    def module(self, features: int) -> HeMean:
        from heclstm.model.cells.mean.torch_module import HeMean

        return HeMean(features, self)
