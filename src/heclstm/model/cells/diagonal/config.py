"""The configuration of the diagonal cell: its arrays, its ranges, and where the rest of it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np

from heclstm.model.cells.base import Cell
from heclstm.model.cells.diagonal import reach, reference
from heclstm.model.cells.diagonal.memory import Memory
from heclstm.model.fields import OneOf, Whole, check_fields
from heclstm.model.graph import Array, Arrays, Range, Shape
from heclstm.model.interval import FrameMap, Interval, Linear
from heclstm.model.polynomial import sigmoid_start

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
        return reference.evaluate(self, arrays, spatial)

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
