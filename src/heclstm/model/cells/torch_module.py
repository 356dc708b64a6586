"""What recurrent cells have in common in PyTorch."""

import torch
from torch import Tensor, nn

from heclstm.model.cells.base import Cell
from heclstm.model.graph import Array
from heclstm.model.train.layers import Fading, Part, array_of, evaluate, folded

RECURRENT_GAIN = 0.3
FITTED = 4.0  # as far as polynomials of sigmoid and tanh are fitted, or a little further
PROJECTION_GAIN = 0.5


class Recurrent(Part):
    """A cell whose projection of all frames is one batch-normalized linear map before the loop.

    cell: one step; its parameters are called as in a model file.
    """

    cell: Fading

    def __init__(self, features: int, config: Cell) -> None:
        super().__init__()
        self.config = config
        rows = config.projections * config.hidden_size
        self.input_weight = nn.Linear(features, rows, bias=False)
        self.normalization = nn.BatchNorm1d(rows)
        nn.init.constant_(self.normalization.weight, PROJECTION_GAIN)

    def project(self, spatial: Tensor) -> Tensor:
        """spatial (B, T, D) → what the gates get of each frame (B, T, rows)."""
        batch, count, features = spatial.shape
        projected: Tensor = self.normalization(self.input_weight(spatial.reshape(batch * count, features)))
        return projected.reshape(batch, count, -1)

    def export(self) -> dict[str, Array]:
        """What is not projected are the step's own parameters, or coefficients that are not trained."""
        gain, offset = folded(self.normalization)
        arrays = {"input_weight": array_of(self.input_weight.weight) * gain[:, None], "bias": offset}
        start = self.config.start()
        for name in self.config.arrays(self.input_weight.in_features):
            if name not in arrays:
                trained = getattr(self.cell, name, None)
                arrays[name] = start[name] if trained is None else array_of(trained)
        return arrays


def recurrent_weight(rows: int, hidden_size: int) -> nn.Parameter:
    """(rows · H, H): orthogonal for each gate, and small."""
    weight = nn.Parameter(torch.empty(rows * hidden_size, hidden_size))
    for row in range(rows):
        nn.init.orthogonal_(weight.data[row * hidden_size : (row + 1) * hidden_size], RECURRENT_GAIN)
    return weight


def coefficients(start: Array) -> nn.Parameter:
    """Polynomial coefficients to be trained."""
    return nn.Parameter(torch.tensor(start, dtype=torch.float32))


def polynomial(cell: nn.Module, coefficients: Tensor, x: Tensor) -> Tensor:
    """Of a gate, candidate or output; while training, those of degree 2 and 3 stand still beyond ±4.

    Further out they fall or grow without end; fed back, that carries a sequence off within a few frames, and the loss
    is not finite any more. Range penalties bring x back meanwhile. Evaluated, a polynomial is what it is.
    """
    if cell.training and coefficients.shape[-1] > 2:
        x = x.clamp(-FITTED, FITTED)
    return evaluate(coefficients, x)
