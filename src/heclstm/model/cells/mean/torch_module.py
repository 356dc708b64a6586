"""The mean of the frames in PyTorch."""

import torch
from torch import Tensor

from heclstm.model.cells.mean import MeanConfig
from heclstm.model.cells.torch_module import Recurrent
from heclstm.model.train.layers import Fading, PolynomialActivation


class Square(PolynomialActivation):
    """It fades in with what else is in cells."""

    span = "gates"


class MeanActivation(Fading):
    """What is made of the means: (B, T, H) → (B, T, H)."""

    span = "gates"

    def __init__(self, config: MeanConfig) -> None:
        super().__init__()
        linear = config.activation_degree == 1
        self.activation = None if linear else Square(config.hidden_size, config.activation_degree)

    @property
    def coefficients(self) -> Tensor | None:
        """(H, 3), of a quadratic."""
        return None if self.activation is None or self.activation.degree is None else self.activation.coefficients

    def forward(self, entering: Tensor) -> Tensor:
        if self.activation is None:
            return entering
        made: Tensor = self.activation(entering[..., None, None])[..., 0, 0]
        return made


class HeMean(Recurrent):
    """Batch normalization looks at the means, which spread less than single frames."""

    cell: MeanActivation

    def __init__(self, features: int, config: MeanConfig) -> None:
        super().__init__(features, config)
        self.cell = MeanActivation(config)

    def forward(self, spatial: Tensor) -> dict[str, Tensor]:
        """spatial (B, T, D) → entering, hidden (B, T, H)"""
        counts = torch.arange(1, spatial.shape[1] + 1, dtype=spatial.dtype, device=spatial.device)
        entering = self.project(spatial.cumsum(1) / counts[:, None])
        return {"entering": entering, "hidden": self.cell(entering)}
