"""A diagonal cell: every unit keeps a weighted mean of what it took in, with constants for weights.

    g_t = W_g s_t + b_g        i_t = σ(W_i s_t + b_i)        o_t = σ(W_o s_t + b_o)
    c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ (i_t ⊙ g_t)            h_t = o_t ⊙ c_t

Gates on input and output are a choice (`gates`); what is kept is decided by constants alone. So nothing encrypted
multiplies the state: it is one linear map over all frames, whatever their number, and a mean of values cannot leave the
interval that they lie in. A gate f_t made of the frame can, once it is outside of [0, 1].

    memory "mean"     the mean of frames 1 … t, frame s with weight r^(t − s), r = exp(−rate) > 0: f_1 = 0,
                      f_t = r S_{t−1} / S_t with S_t = 1 + r S_{t−1}. With rate 0 the plain mean; a negative rate weighs
                      early frames more. The difference of two such units is the course of a sequence.
    memory "leaky"    from zero, f = sigmoid(rate) for every frame

    levels            gates "none" 1, "input" 2, "output" 3, "both" 3 with linear gates; for any T
                      (LSTM 2 + 3 (T − 1), GRU 1 + 3 (T − 1))

Without a gate on the output the vote takes the state's map over as well, since the two are linear.
Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023, train such cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np

from heclstm.model.cells.base import Cell
from heclstm.model.cells.diagonal import reach
from heclstm.model.cells.diagonal.memory import Memory, forgetting
from heclstm.model.fields import OneOf, Whole, check_fields
from heclstm.model.graph import Array, Arrays, Range, Shape
from heclstm.model.interval import FrameMap, Interval, Linear
from heclstm.model.polynomial import evaluate as polynomial
from heclstm.model.polynomial import sigmoid, sigmoid_start

if TYPE_CHECKING:
    from heclstm.model.cells.diagonal.lowering import Diagonal
    from heclstm.model.cells.diagonal.torch_module import HeDiagonal

Gates = Literal["none", "input", "output", "both"]


@dataclass(frozen=True)
class DiagonalConfig(Cell):
    """The diagonal layer; P is the number of its projections, g first, then the gates in the order i, o.

    gate_degree: of the gates; None means the exact sigmoid.

        input_weight (P·H, D)   bias (P·H,)   rate (H,), any numbers   gate_coefficients (P − 1, degree + 1), with gates
    """

    kind: ClassVar[str] = "diagonal"
    causal: ClassVar[bool] = True

    hidden_size: Annotated[int, Whole(1)]
    memory: Annotated[Memory, OneOf("mean", "leaky")] = "mean"
    gates: Annotated[Gates, OneOf("none", "input", "output", "both")] = "none"
    gate_degree: Annotated[int | None, OneOf(None, 1, 2)] = 1

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def gated(self) -> tuple[bool, bool]:
        """(input, output)."""
        return self.gates in ("input", "both"), self.gates in ("output", "both")

    @property
    def projections(self) -> int:
        return 1 + sum(self.gated)

    @property
    def ranges(self) -> tuple[Range, ...]:
        of = self.projections
        found = [Range("candidate", "gates", bound="candidate", default=2.25, parts=(0,), of=of)]
        if of > 1:
            found.append(Range("gates", "gates", bound="gates", default=3.0, parts=tuple(range(1, of)), of=of))
        if self.gated[1]:
            found.append(Range("state", "state"))
        return (*found, Range("hidden", "hidden", bound="hidden", default=2.25))

    @property
    def exact(self) -> str | None:
        if self.gates == "none" or self.gate_degree is not None:
            return None
        return "got gate_degree None, expected polynomials; train with gate_degree 1 or 2, or with gates 'none'"

    def exact_twin(self) -> Self:
        """Without gates there is nothing that is not exact."""
        return self if self.gates == "none" else replace(self, gate_degree=None)

    def arrays(self, features: int) -> dict[str, Shape]:
        rows = self.projections * self.hidden_size
        shapes: dict[str, Shape] = {"input_weight": (rows, features), "bias": (rows,), "rate": (self.hidden_size,)}
        return shapes | {name: array.shape for name, array in self.start().items()}

    def start(self) -> dict[str, Array]:
        """i, o: the sigmoid."""
        if self.gates == "none" or self.gate_degree is None:
            return {}
        return {"gate_coefficients": np.tile(sigmoid_start(self.gate_degree), (self.projections - 1, 1))}

    def evaluate(self, arrays: Arrays, spatial: Array) -> dict[str, Array]:
        """gates (B, T, P·H): the candidate, and what enters the gates; state, hidden (B, T, H)."""
        entering = spatial @ arrays["input_weight"].T + arrays["bias"]
        candidate, *rest = np.split(entering, self.projections, axis=2)
        if self.gate_degree is None:
            gates = [sigmoid(value) for value in rest]
        else:
            gates = [polynomial(row, z) for row, z in zip(arrays.get("gate_coefficients", ()), rest, strict=True)]
        kept = forgetting(self.memory, arrays["rate"], spatial.shape[1])
        taken = gates[0] * candidate if self.gated[0] else candidate
        state, states = np.zeros_like(taken[:, 0]), []
        for step in range(spatial.shape[1]):
            state = kept[step] * state + (1 - kept[step]) * taken[:, step]
            states.append(state)
        memory = np.stack(states, axis=1)
        values = {"gates": entering, "hidden": gates[-1] * memory if self.gated[1] else memory}
        return values | {"state": memory} if self.gated[1] else values

    def reach(self, arrays: Arrays, features: FrameMap) -> dict[str, Interval]:
        return reach.reach(self, arrays, features)

    def linear(self, arrays: Arrays, frames: int) -> Linear | None:
        return reach.linear(self, arrays, frames) if self.gates == "none" else None

    def kernel(self) -> type[Diagonal]:
        from heclstm.model.cells.diagonal.lowering import Diagonal

        return Diagonal

    def module(self, features: int) -> HeDiagonal:
        from heclstm.model.cells.diagonal.torch_module import HeDiagonal

        return HeDiagonal(features, self)
