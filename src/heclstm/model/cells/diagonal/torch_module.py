"""The diagonal cell in PyTorch: all steps at once."""

import math

import torch
from torch import Tensor, nn

from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.torch_module import Recurrent, coefficients, polynomial
from heclstm.model.train.layers import Fading

RATES = 0.1  # "mean": at first units weigh from late to early, and all nearly alike
LONGEST = 20.0  # "leaky": frames after which a unit has forgotten two thirds, from 1 to this


class DiagonalStep(Fading):
    """Rates and gates."""

    span = "gates"

    def __init__(self, config: DiagonalConfig) -> None:
        super().__init__()
        self.config = config
        start = config.start()
        if start:
            self.gate_coefficients = coefficients(start["gate_coefficients"])
        self.rate = nn.Parameter(first_rates(config))

    def gates(self, entering: Tensor) -> Tensor:
        """(…, gates, H)"""
        if self.config.gate_degree is None:
            return entering.sigmoid()
        return self.faded(torch.sigmoid, entering, polynomial(self, self.gate_coefficients[:, None, :], entering))

    def weights(self, frames: int) -> Tensor:
        """(H, T, T) as `memory.weights`, from powers instead of steps."""
        at = torch.arange(frames, device=self.rate.device)
        back = at[:, None] - at
        seen = back >= 0
        if self.config.memory == "mean":
            return torch.where(seen, -self.rate[:, None, None] * back, -math.inf).softmax(-1)
        powers = torch.where(seen, nn.functional.logsigmoid(self.rate)[:, None, None] * back, -math.inf).exp()
        return (-self.rate).sigmoid()[:, None, None] * powers


def first_rates(config: DiagonalConfig) -> Tensor:
    """(H,)"""
    if config.memory == "mean":
        return torch.linspace(-RATES, RATES, config.hidden_size)
    kept = torch.exp(-1 / torch.logspace(0, math.log10(LONGEST), config.hidden_size))
    return torch.logit(kept)


class HeDiagonal(Recurrent):
    """The diagonal layer over all frames."""

    cell: DiagonalStep
    config: DiagonalConfig

    def __init__(self, features: int, config: DiagonalConfig) -> None:
        super().__init__(features, config)
        self.cell = DiagonalStep(config)

    def forward(self, spatial: Tensor) -> dict[str, Tensor]:
        """spatial (B, T, D) → hidden (B, T, H), and what entered the candidate and the gates (B, T, P·H)."""
        entering = self.project(spatial)
        by_unit = entering.reshape(*entering.shape[:2], self.config.projections, -1)
        taken, gates = by_unit[:, :, 0], by_unit[:, :, 1:]
        if self.config.gates != "none":
            gates = self.cell.gates(gates)
        if self.config.gated[0]:
            taken = taken * gates[:, :, 0]
        state = torch.einsum("hts,bsh->bth", self.cell.weights(spatial.shape[1]), taken)
        if not self.config.gated[1]:
            return {"gates": entering, "hidden": state}
        return {"gates": entering, "state": state, "hidden": state * gates[:, :, -1]}
