"""HE-LSTM in PyTorch."""

import torch
from torch import Tensor

from heclstm.model.cells.lstm import GATES, LstmConfig
from heclstm.model.cells.torch_module import Recurrent, coefficients, polynomial, recurrent_weight
from heclstm.model.train.layers import Fading

FORGET_BIAS = 0.5
FORGET_BIAS_SPREAD = 2.0  # without recurrence the units get different memories from the start


class HeLstmCell(Fading):
    """One LSTM step from projected input: gates i, f, g, o from W·s_t + b + U·h; c = f·c + i·g; h = o·φ(c).

    gate_degree None means exact sigmoid and tanh, and cell_output "tanh" an exact φ: torch.nn.LSTM's cell.
    """

    span = "gates"

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.recurrent_weight = recurrent_weight(GATES, config.hidden_size) if config.recurrent_gates else None
        start = config.start()
        if config.gate_degree is not None:
            self.gate_coefficients = coefficients(start["gate_coefficients"])
        if config.cell_output == "cubic":
            self.cell_output_coefficients = coefficients(start["cell_output_coefficients"])

    def forward(self, projected: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """projected (B, 4H), hidden and cell (B, H) → new hidden, new cell, what entered the gates (B, 4H)."""
        gates = projected if self.recurrent_weight is None else projected + hidden @ self.recurrent_weight.T
        i, f, g, o = self._gates(gates.reshape(len(gates), 4, -1)).unbind(1)
        cell = f * cell + i * g
        return o * self._cell_output(cell), cell, gates

    def _gates(self, z: Tensor) -> Tensor:
        if self.config.gate_degree is None:
            return exact_gates(z)
        return self.faded(exact_gates, z, polynomial(self, self.gate_coefficients[:, None, :], z))

    def _cell_output(self, cell: Tensor) -> Tensor:
        if self.config.cell_output == "tanh":
            return cell.tanh()
        identity = self.config.cell_output == "identity"
        return self.faded(torch.tanh, cell, cell if identity else polynomial(self, self.cell_output_coefficients, cell))


def exact_gates(z: Tensor) -> Tensor:
    """(B, 4, H) → sigmoid of i, f, o and tanh of g."""
    i, f, g, o = z.unbind(1)
    return torch.stack([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], 1)


class HeLstm(Recurrent):
    """The LSTM over all steps."""

    def __init__(self, features: int, config: LstmConfig) -> None:
        super().__init__(features, config)
        hidden = config.hidden_size
        self.cell = HeLstmCell(config)
        with torch.no_grad():
            forget = self.normalization.bias[hidden : 2 * hidden]
            if config.recurrent_gates:
                forget.fill_(FORGET_BIAS)
            else:
                forget.copy_(torch.linspace(-FORGET_BIAS_SPREAD, FORGET_BIAS_SPREAD, hidden))

    def forward(self, spatial: Tensor) -> dict[str, Tensor]:
        """spatial (B, T, D) → hidden, cell (B, T, H), and what entered the gates (B, T, 4H)."""
        projected = self.project(spatial)
        hidden = cell = spatial.new_zeros(len(spatial), self.config.hidden_size)
        steps = []
        for step in range(spatial.shape[1]):
            hidden, cell, gates = self.cell(projected[:, step], hidden, cell)
            steps.append((hidden, cell, gates))
        return {
            name: torch.stack(values, 1)
            for name, values in zip(("hidden", "cell", "gates"), zip(*steps, strict=True), strict=True)
        }
