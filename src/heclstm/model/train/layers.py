"""The layers of a model in PyTorch: what can be evaluated under encryption, and its exact twin to start from.

`blend` fades from the exact function (0) to the polynomial (1) while training goes on; at 1 only the polynomial
is left.
"""

import torch
from torch import Tensor, nn

from heclstm.model.config import LstmConfig
from heclstm.model.polynomial import HERMITE_RELU, cell_output_start, gate_start

# The compiler folds √|c2| into the convolution before, which a vanishing c2 would make impossible.
SMALLEST_SQUARE = 0.05
RECURRENT_GAIN = 0.3
PROJECTION_GAIN = 0.5
FORGET_BIAS = 0.5
FORGET_BIAS_SPREAD = 2.0  # without recurrence the units get different memories from the start


def evaluate(coefficients: Tensor, x: Tensor) -> Tensor:
    """Horner's rule; coefficients (…, degree + 1) with ascending powers, where … broadcasts against x."""
    result = coefficients[..., -1]
    for j in range(coefficients.shape[-1] - 2, -1, -1):
        result = result * x + coefficients[..., j]
    return result


class PolynomialActivation(nn.Module):
    """Per channel Σ c_j x^j, trainable, started from the Hermite expansion of ReLU.

    Degree None is ReLU itself.
    """

    def __init__(self, channels: int, degree: int | None = 2) -> None:
        super().__init__()
        self.degree = degree
        self.blend = 1.0
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
        polynomial = evaluate(self.coefficients[:, None, None, :], x)
        return polynomial if self.blend == 1 else torch.lerp(x.relu(), polynomial, self.blend)


class HeLstmCell(nn.Module):
    """One LSTM step from projected input: gates i, f, g, o from W·s_t + b + U·h; c = f·c + i·g; h = o·φ(c).

    gate_degree None means exact sigmoid and tanh, and cell_output "tanh" an exact φ: torch.nn.LSTM's cell.
    """

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config, self.blend = config, 1.0
        hidden = config.hidden_size
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden, hidden)) if config.recurrent_gates else None
        if self.recurrent_weight is not None:
            for gate in range(4):
                nn.init.orthogonal_(self.recurrent_weight.data[gate * hidden : (gate + 1) * hidden], RECURRENT_GAIN)
        if config.gate_degree is not None:
            self.gate_coefficients = nn.Parameter(torch.tensor(gate_start(config.gate_degree), dtype=torch.float32))
        if config.cell_output == "cubic":
            self.cell_output_coefficients = nn.Parameter(torch.tensor(cell_output_start("cubic"), dtype=torch.float32))

    def forward(self, projected: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """projected (B, 4H), hidden and cell (B, H) → new hidden, new cell, what entered the gates (B, 4H)."""
        gates = projected if self.recurrent_weight is None else projected + hidden @ self.recurrent_weight.T
        i, f, g, o = self._gates(gates.reshape(len(gates), 4, -1)).unbind(1)
        cell = f * cell + i * g
        return o * self._cell_output(cell), cell, gates

    def _gates(self, z: Tensor) -> Tensor:
        polynomial = None
        if self.config.gate_degree is not None:
            polynomial = evaluate(self.gate_coefficients[:, None, :], z)
            if self.blend == 1:
                return polynomial
        i, f, g, o = z.unbind(1)
        exact = torch.stack([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], 1)
        return exact if polynomial is None else torch.lerp(exact, polynomial, self.blend)

    def _cell_output(self, cell: Tensor) -> Tensor:
        if self.config.cell_output == "tanh":
            return cell.tanh()
        polynomial = cell if self.config.cell_output == "identity" else evaluate(self.cell_output_coefficients, cell)
        return polynomial if self.blend == 1 else torch.lerp(cell.tanh(), polynomial, self.blend)


class HeLstm(nn.Module):
    """The LSTM over all steps.

    The projection of all frames is one batch-normalized linear map before the loop.
    """

    def __init__(self, features: int, config: LstmConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.input_weight = nn.Linear(features, 4 * hidden, bias=False)
        self.normalization = nn.BatchNorm1d(4 * hidden)
        self.cell = HeLstmCell(config)
        nn.init.constant_(self.normalization.weight, PROJECTION_GAIN)
        with torch.no_grad():
            forget = self.normalization.bias[hidden : 2 * hidden]
            if config.recurrent_gates:
                forget.fill_(FORGET_BIAS)
            else:
                forget.copy_(torch.linspace(-FORGET_BIAS_SPREAD, FORGET_BIAS_SPREAD, hidden))

    def forward(self, spatial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """spatial (B, T, D) → hidden (B, T, H), cell (B, T, H), and what entered the gates (B, T, 4H)."""
        batch, count, features = spatial.shape
        projected = self.normalization(self.input_weight(spatial.reshape(batch * count, features)))
        projected = projected.reshape(batch, count, -1)
        hidden = cell = spatial.new_zeros(batch, self.cell.config.hidden_size)
        steps = []
        for step in range(count):
            hidden, cell, gates = self.cell(projected[:, step], hidden, cell)
            steps.append((hidden, cell, gates))
        hiddens, cells, all_gates = (torch.stack(values, 1) for values in zip(*steps, strict=True))
        return hiddens, cells, all_gates


class WeightedUnit(nn.Module):
    """y_t = α·(w_s·s_t + b_s) + (1 − α)·(w_h·h_t + b_h), with α in (0, 1) learned for each class."""

    def __init__(self, features: int, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.spatial = nn.Linear(features, classes)
        self.temporal = nn.Linear(hidden_size, classes)
        self.alpha_logit = nn.Parameter(torch.zeros(classes))

    @property
    def alpha(self) -> Tensor:
        """(classes,)"""
        return self.alpha_logit.sigmoid()

    def forward(self, spatial: Tensor, hidden: Tensor) -> Tensor:
        mixed: Tensor = self.alpha * self.spatial(spatial) + (1 - self.alpha) * self.temporal(hidden)
        return mixed


class SequenceVote(nn.Module):
    """Contributions v_t·y_t, whose sum is the score.

    V is a softmax of learned logits, so it starts as the mean. Frames that a mask (B, T) calls unreal get no vote.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(frames))

    @property
    def weight(self) -> Tensor:
        """(frames,), positive, with sum 1."""
        return self.logits.softmax(0)

    def forward(self, frame_scores: Tensor, mask: Tensor | None = None) -> Tensor:
        votes = self.weight[:, None] * frame_scores
        return votes if mask is None else votes * mask[..., None]
