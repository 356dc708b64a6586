"""The contracting cell in PyTorch: whatever its parameters are, the gate stays in [0, 1].

    x_t = m + (1 − |m|) û_t        û_t = (W (s_t − middle) + U (h_{t−1} / N)) / R        |m| < 1

R = |W|·reach + |U|·1 and N, the largest |n|, follow from the box of the features, and so |û| ≤ 1. The box is that of
batch normalization in evaluation; while training, where statistics are those of the batch, what enters is clamped. A
model file gets all of it in 64 bits.
"""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from heclstm.model.cells.contracting import ContractingConfig
from heclstm.model.cells.torch_module import PROJECTION_GAIN
from heclstm.model.graph import Array
from heclstm.model.train.layers import Box, Part, array_of, scaling

FIRST = (-0.6, 0.8)  # m at first: units forget soon, or late
SLACK = 1e-3  # of a gate's range, for rounding
EPSILON = 1e-12


class HeContracting(Part):
    """The contracting layer over all steps."""

    boxed: ClassVar[bool] = True

    def __init__(self, features: int, config: ContractingConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.candidate = nn.Linear(features, hidden, bias=False)
        self.normalization = nn.BatchNorm1d(hidden)
        nn.init.constant_(self.normalization.weight, PROJECTION_GAIN)
        self.constant = nn.Parameter(torch.linspace(*FIRST, hidden).atanh())
        self.gate_weight = nn.Parameter(torch.randn(hidden, features) / features**0.5)
        self.gate_recurrence = nn.Parameter(0.1 * torch.randn(hidden, hidden) / hidden**0.5)

    def forward(self, spatial: Tensor, box: Box | None = None) -> dict[str, Tensor]:
        """spatial (B, T, D), box of it (T, D) → hidden (B, T, H), and what entered gate and candidate (B, T, 2·H)."""
        assert box  # `boxed`
        candidate = self.normalization(self.candidate(spatial.flatten(0, 1))).reshape(*spatial.shape[:2], -1)
        weight, recurrence, bias, *_ = self.bounded(box)  # after what it does to the statistics
        own, state, states, gates = spatial @ weight.T + bias, torch.zeros_like(candidate[:, 0]), [], []
        for t in range(spatial.shape[1]):
            entering = own[:, t] + state @ recurrence.T
            if self.training:
                entering = entering.clamp(-1, 1)
            state = candidate[:, t] + (1 + entering) / 2 * (state - candidate[:, t])
            states.append(state)
            gates.append(entering)
        return {"hidden": torch.stack(states, 1), "gates": torch.cat([torch.stack(gates, 1), candidate], 2)}

    def bounded(self, box: Box) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """W (H, D), U (H, H), b (H,) of the gate, W_n (H, D), b_n (H,), as a model file has them."""
        middle, reach = box
        gain, offset = scaling(self.normalization)
        candidate = self.candidate.weight * gain[:, None]
        largest = ((middle @ candidate.T + offset).abs() + reach @ candidate.abs().T).amax(0) + EPSILON
        centre, m = middle.mean(0), (1 - SLACK) * self.constant.tanh()  # some room stays where a gate saturates
        own = ((middle - centre) @ self.gate_weight.T).abs() + reach @ self.gate_weight.abs().T
        most = own.amax(0) + self.gate_recurrence.abs().sum(1) + EPSILON
        share = ((1 - SLACK) * (1 - m.abs()) / most)[:, None]
        weight, recurrence = self.gate_weight * share, self.gate_recurrence * share / largest
        return weight, recurrence, m - weight @ centre, candidate, offset

    def export(self, box: Box | None = None) -> dict[str, Array]:
        assert box  # `boxed`
        weight, recurrence, bias, candidate, offset = map(array_of, self.bounded(box))
        return {
            "input_weight": np.concatenate([weight, candidate]),
            "recurrent_weight": recurrence,
            "bias": np.concatenate([bias, offset]),
        }
