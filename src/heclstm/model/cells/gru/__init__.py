"""HE-GRU: torch.nn.GRU's cell with polynomials for sigmoid and tanh.

    r = σ(W_r s + b_r + U_r h)    z = σ(W_z s + b_z + U_z h)    n = tanh(W_n s + b_n + r ⊙ (U_n h + c))
    h ← (1 − z) ⊙ n + z ⊙ h

Of the formulations in use, the one that costs the fewest levels. Its reset gate is applied after U_n·h (as in cuDNN and
torch), so that one linear map makes all three of U·h. Before it (Cho et al., 2014), U_n·(r ⊙ h) is a second map, and a
step takes 4 levels with linear gates instead of 3. Without a reset gate (`reset_gate = false`; Ravanelli et al.,
"Light Gated Recurrent Units for Speech Recognition", 2018) it takes 2.

    linear gates, T frames    GRU 1 + 3 (T − 1)    without reset gate 1 + 2 (T − 1)    (LSTM 2 + 3 (T − 1))

The mixture is written as z ⊙ (h − n) + n: one product, and n rides along on its rescale.
"""

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
    from heclstm.model.cells.gru.lowering import Gru
    from heclstm.model.cells.gru.torch_module import HeGru

Candidate = Literal["identity", "cubic", "tanh"]


@dataclass(frozen=True)
class GruConfig(Cell):
    """The HE-GRU layer.

    `gate_degree` is that of r and z, None means the exact sigmoid; `candidate` is what stands for the tanh of n. P is
    the number of its projections: 3 (r, z, n), or 2 without a reset gate.

        input_weight (P·H, D)   recurrent_weight (P·H, H)   bias (P·H,)   candidate_bias (H,), with a reset gate
        gate_coefficients (P − 1, degree + 1)   candidate_coefficients (2,) or (4,)
    """

    kind: ClassVar[str] = "gru"
    causal: ClassVar[bool] = True

    hidden_size: Annotated[int, Whole(1)]
    gate_degree: Annotated[int | None, OneOf(None, 1, 2, 3)] = 1
    candidate: Annotated[Candidate, OneOf("identity", "cubic", "tanh")] = "identity"
    reset_gate: Annotated[bool, OneOf(True, False)] = True

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def projections(self) -> int:
        return 3 if self.reset_gate else 2

    @property
    def ranges(self) -> tuple[Range, ...]:
        *gates, candidate = range(self.projections)
        return (
            Range("gates", "gates", bound="gates", default=3.0, parts=tuple(gates), of=self.projections),
            Range("candidate", "gates", bound="candidate", default=2.25, parts=(candidate,), of=self.projections),
            Range("hidden", "hidden", bound="hidden", default=2.25),
        )

    @property
    def exact(self) -> str | None:
        if self.gate_degree is not None and self.candidate != "tanh":
            return None
        return (
            f"got gate_degree {self.gate_degree} and candidate {self.candidate!r}, expected polynomials; "
            "train with gate_degree 1, 2 or 3 and candidate 'identity' or 'cubic'"
        )

    def exact_twin(self) -> Self:
        return replace(self, gate_degree=None, candidate="tanh")

    def shallower(self) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        if self.gate_degree is not None and self.gate_degree > 1:
            found["gate_degree = 1"] = replace(self, gate_degree=1)
        if self.reset_gate:
            found["reset_gate = false"] = replace(self, reset_gate=False)
        return found

    def arrays(self, features: int) -> dict[str, Shape]:
        rows = self.projections * self.hidden_size
        shapes: dict[str, Shape] = {"input_weight": (rows, features), "recurrent_weight": (rows, self.hidden_size)}
        shapes["bias"] = (rows,)
        if self.reset_gate:
            shapes["candidate_bias"] = (self.hidden_size,)
        return shapes | {name: array.shape for name, array in self.start().items()}

    def start(self) -> dict[str, Array]:
        """r, z: the sigmoid. n: the identity or the cubic tanh."""
        start: dict[str, Array] = {}
        if self.gate_degree is not None:
            start["gate_coefficients"] = np.tile(sigmoid_start(self.gate_degree), (self.projections - 1, 1))
        if self.candidate != "tanh":
            start["candidate_coefficients"] = IDENTITY if self.candidate == "identity" else cubic_tanh()
        return start

    def evaluate(self, arrays: Arrays, spatial: Array) -> dict[str, Array]:
        """gates (B, T, P·H): what enters r, z and the candidate, in this order; hidden (B, T, H)."""
        batch, steps = spatial.shape[:2]
        projected = spatial @ arrays["input_weight"].T + arrays["bias"]
        hidden = np.zeros((batch, self.hidden_size))
        history: dict[str, list[Array]] = {"gates": [], "hidden": []}
        for step in range(steps):
            own = np.split(projected[:, step], self.projections, axis=1)
            back = np.split(hidden @ arrays["recurrent_weight"].T, self.projections, axis=1)
            entering = [mine + before for mine, before in zip(own[:-1], back[:-1], strict=True)]
            if self.gate_degree is None:
                gates = [sigmoid(value) for value in entering]
            else:
                rows = arrays["gate_coefficients"]
                gates = [polynomial(row, value) for row, value in zip(rows, entering, strict=True)]
            recalled = gates[0] * (back[-1] + arrays["candidate_bias"]) if self.reset_gate else back[-1]
            entering.append(own[-1] + recalled)
            if self.candidate == "tanh":
                candidate = np.tanh(entering[-1])
            else:
                candidate = polynomial(arrays["candidate_coefficients"], entering[-1])
            hidden = candidate + gates[-1] * (hidden - candidate)
            history["gates"].append(np.concatenate(entering, axis=1))
            history["hidden"].append(hidden)
        return {name: np.stack(values, axis=1) for name, values in history.items()}

    def kernel(self) -> type[Gru]:
        from heclstm.model.cells.gru.lowering import Gru

        return Gru

    def module(self, features: int) -> HeGru:
        from heclstm.model.cells.gru.torch_module import HeGru

        return HeGru(features, self)
