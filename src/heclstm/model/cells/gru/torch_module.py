"""HE-GRU in PyTorch."""

import torch
from torch import Tensor, nn

from heclstm.model.cells.gru import GruConfig
from heclstm.model.cells.torch_module import Recurrent, coefficients, polynomial, recurrent_weight
from heclstm.model.train.layers import Fading

UPDATE_BIAS = 0.5  # at first, more is kept than taken in


class HeGruCell(Fading):
    """One GRU step from projected input. gate_degree None and candidate "tanh" are torch.nn.GRU's cell."""

    span = "gates"

    def __init__(self, config: GruConfig) -> None:
        super().__init__()
        self.config = config
        self.recurrent_weight = recurrent_weight(config.projections, config.hidden_size)
        self.candidate_bias = nn.Parameter(torch.zeros(config.hidden_size)) if config.reset_gate else None
        start = config.start()
        if config.gate_degree is not None:
            self.gate_coefficients = coefficients(start["gate_coefficients"])
        if config.candidate == "cubic":
            self.candidate_coefficients = coefficients(start["candidate_coefficients"])

    def forward(self, projected: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """projected (B, P·H), hidden (B, H) → new hidden, what entered r, z and the candidate (B, P·H)."""
        count = self.config.projections
        *own, mine = projected.chunk(count, dim=1)
        *back, recalled = (hidden @ self.recurrent_weight.T).chunk(count, dim=1)
        entering = torch.stack(own, 1) + torch.stack(back, 1)
        gates = self._gates(entering).unbind(1)
        if self.candidate_bias is not None:
            recalled = gates[0] * (recalled + self.candidate_bias)
        argument = mine + recalled
        candidate = self._candidate(argument)
        hidden = candidate + gates[-1] * (hidden - candidate)
        return hidden, torch.cat([entering.flatten(1), argument], dim=1)

    def _gates(self, z: Tensor) -> Tensor:
        if self.config.gate_degree is None:
            return z.sigmoid()
        return self.faded(torch.sigmoid, z, polynomial(self, self.gate_coefficients[:, None, :], z))

    def _candidate(self, x: Tensor) -> Tensor:
        if self.config.candidate == "tanh":
            return x.tanh()
        identity = self.config.candidate == "identity"
        return self.faded(torch.tanh, x, x if identity else polynomial(self, self.candidate_coefficients, x))


class HeGru(Recurrent):
    """The GRU over all steps."""

    def __init__(self, features: int, config: GruConfig) -> None:
        super().__init__(features, config)
        self.cell = HeGruCell(config)
        with torch.no_grad():
            self.normalization.bias.chunk(config.projections)[-2].fill_(UPDATE_BIAS)

    def forward(self, spatial: Tensor) -> dict[str, Tensor]:
        """spatial (B, T, D) → hidden (B, T, H), and what entered r, z and the candidate (B, T, P·H)."""
        projected = self.project(spatial)
        hidden = spatial.new_zeros(len(spatial), self.config.hidden_size)
        hiddens, gates = [], []
        for step in range(spatial.shape[1]):
            hidden, entered = self.cell(projected[:, step], hidden)
            hiddens.append(hidden)
            gates.append(entered)
        return {"hidden": torch.stack(hiddens, 1), "gates": torch.stack(gates, 1)}
