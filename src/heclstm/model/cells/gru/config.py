"""The configuration of HE-GRU: its arrays, its ranges, and where the rest of it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np

from heclstm.model.cells.base import Cell
from heclstm.model.cells.gru import reference
from heclstm.model.fields import OneOf, Whole, check_fields
from heclstm.model.graph import Array, Arrays, Range, Shape
from heclstm.model.polynomial import IDENTITY, cubic_tanh, sigmoid_start

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
        return reference.evaluate(self, arrays, spatial)

    def kernel(self) -> type[Gru]:
        from heclstm.model.cells.gru.lowering import Gru

        return Gru

    def module(self, features: int) -> HeGru:
        from heclstm.model.cells.gru.torch_module import HeGru

        return HeGru(features, self)
