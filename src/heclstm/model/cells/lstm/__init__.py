"""HE-LSTM: torch.nn.LSTM's cell with polynomials for sigmoid and tanh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np

from heclstm.model.cells.base import Cell
from heclstm.model.fields import OneOf, Whole, check_fields
from heclstm.model.graph import Array, Arrays, Range, Shape
from heclstm.model.polynomial import IDENTITY, cubic_tanh, sigmoid, sigmoid_start
from heclstm.model.polynomial import evaluate as polynomial

if TYPE_CHECKING:
    from heclstm.model.cells.lstm.lowering import Lstm
    from heclstm.model.cells.lstm.torch_module import HeLstm

CellOutput = Literal["identity", "cubic", "tanh"]
GATES = 4  # i, f, g, o


@dataclass(frozen=True)
class LstmConfig(Cell):
    """The HE-LSTM layer.

    `gate_degree` None means exact sigmoid and tanh; without `recurrent_gates` the gates see only s_t.

        input_weight (4H, D)   recurrent_weight (4H, H)   bias (4H,)          (gates i, f, g, o)
        gate_coefficients (4, degree + 1)   cell_output_coefficients (2,) or (4,)
    """

    kind: ClassVar[str] = "lstm"
    causal: ClassVar[bool] = True

    hidden_size: Annotated[int, Whole(1)]
    gate_degree: Annotated[int | None, OneOf(None, 1, 2, 3)] = 1
    recurrent_gates: Annotated[bool, OneOf(True, False)] = True
    cell_output: Annotated[CellOutput, OneOf("identity", "cubic", "tanh")] = "identity"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def projections(self) -> int:
        return GATES

    @property
    def ranges(self) -> tuple[Range, ...]:
        return (
            Range("gates", "gates", bound="gates", default=3.0, parts=(0, 1, 3), of=GATES),
            Range("candidate", "gates", bound="candidate", default=2.25, parts=(2,), of=GATES),
            Range("cell", "cell", bound="cell", default=2.25),
            Range("hidden", "hidden"),
        )

    @property
    def exact(self) -> str | None:
        if self.gate_degree is not None and self.cell_output != "tanh":
            return None
        return (
            f"got gate_degree {self.gate_degree} and cell_output {self.cell_output!r}, expected polynomials; "
            "train with gate_degree 1, 2 or 3 and cell_output 'identity' or 'cubic'"
        )

    def exact_twin(self) -> Self:
        return replace(self, gate_degree=None, cell_output="tanh")

    def shallower(self) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        if self.gate_degree is not None and self.gate_degree > 1:
            found["gate_degree = 1"] = replace(self, gate_degree=1)
        if self.recurrent_gates:
            found["recurrent_gates = false"] = replace(self, recurrent_gates=False)
        return found

    def arrays(self, features: int) -> dict[str, Shape]:
        rows = GATES * self.hidden_size
        shapes: dict[str, Shape] = {"input_weight": (rows, features)}
        if self.recurrent_gates:
            shapes["recurrent_weight"] = (rows, self.hidden_size)
        shapes["bias"] = (rows,)
        return shapes | {name: array.shape for name, array in self.start().items()}

    def start(self) -> dict[str, Array]:
        """i, f, o: the sigmoid. g: the identity, from degree 3 on the cubic tanh. φ: the identity or the cubic tanh."""
        start: dict[str, Array] = {}
        if self.gate_degree is not None:
            gate = sigmoid_start(self.gate_degree)
            candidate = cubic_tanh() if self.gate_degree == 3 else np.pad(IDENTITY, (0, self.gate_degree - 1))
            start["gate_coefficients"] = np.stack([gate, gate, candidate, gate])
        if self.cell_output != "tanh":
            start["cell_output_coefficients"] = IDENTITY if self.cell_output == "identity" else cubic_tanh()
        return start

    def evaluate(self, arrays: Arrays, spatial: Array) -> dict[str, Array]:
        """gates (B, T, 4H): what enters them, in the order i, f, g, o; cell, hidden (B, T, H)."""
        batch, steps = spatial.shape[:2]
        projected = spatial @ arrays["input_weight"].T + arrays["bias"]
        hidden = cell = np.zeros((batch, self.hidden_size))
        history: dict[str, list[Array]] = {"gates": [], "cell": [], "hidden": []}
        for step in range(steps):
            gate = projected[:, step]
            if self.recurrent_gates:
                gate = gate + hidden @ arrays["recurrent_weight"].T
            blocks = gate.reshape(batch, 4, self.hidden_size)
            if self.gate_degree is None:
                i, f, o = (sigmoid(blocks[:, row]) for row in (0, 1, 3))
                g = np.tanh(blocks[:, 2])
            else:
                i, f, g, o = (polynomial(arrays["gate_coefficients"][row], blocks[:, row]) for row in range(4))
            cell = f * cell + i * g
            if self.cell_output == "tanh":
                hidden = o * np.tanh(cell)
            else:
                hidden = o * polynomial(arrays["cell_output_coefficients"], cell)
            for values, value in zip(history.values(), (gate, cell, hidden), strict=True):
                values.append(value)
        return {name: np.stack(values, axis=1) for name, values in history.items()}

    def kernel(self) -> type[Lstm]:
        from heclstm.model.cells.lstm.lowering import Lstm

        return Lstm

    def module(self, features: int) -> HeLstm:
        from heclstm.model.cells.lstm.torch_module import HeLstm

        return HeLstm(features, self)
