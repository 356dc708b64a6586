"""A gated cell whose gate stays in [0, 1], and so its state among what it was given, for every input there can be.

    x_t = W s_t + b + U h_{t−1}        z_t = (1 + x_t) / 2
    n_t = W_n s_t + b_n                h_t = n_t + z_t ⊙ (h_{t−1} − n_t),  h_0 = 0

The GRU without a reset gate, whose candidate n sees the frame alone (`as_gru`). Its gate is linear, and follows the
state. Where |x| ≤ 1, each step brings h closer to n: a contraction, which no sequence can drive away.

Training keeps |x| ≤ 1 by construction, not by penalties (`torch_module`): the box of the features, for all pixels in
[0, 1], is carried through the encoder in every step; rows of W and U are divided by the range of W over that box and
the norm of U together, U also by the largest n. Whether it holds for the numbers of a model file is computed from them
(`reach`), not believed.

Boxes are wide: no picture of a patient comes near the pixels that they have to hold for, so the more an encoder does,
the less its gates move (docs/results.md has figures). The diagonal cell has constants there, at one level for any T;
this one takes 2 + 2 (T − 1), that of W·s included as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np

from heclstm.model.cells.base import Cell
from heclstm.model.cells.gru import GruConfig
from heclstm.model.fields import Whole, check_fields
from heclstm.model.graph import Array, Arrays, Range, Shape
from heclstm.model.interval import FrameMap, Interval, of_affine
from heclstm.model.polynomial import IDENTITY

if TYPE_CHECKING:
    from heclstm.model.cells.contracting.lowering import Contracting
    from heclstm.model.cells.contracting.torch_module import HeContracting

HALVES = np.array([0.5, 0.5])  # z of x


@dataclass(frozen=True)
class ContractingConfig(Cell):
    """The contracting layer; rows of the gate come before those of the candidate.

    input_weight (2·H, D)   recurrent_weight (H, H)   bias (2·H,)
    """

    kind: ClassVar[str] = "contracting"
    causal: ClassVar[bool] = True

    hidden_size: Annotated[int, Whole(1)]

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def projections(self) -> int:
        return 2

    @property
    def ranges(self) -> tuple[Range, ...]:
        return (
            Range("gates", "gates", parts=(0,), of=2),
            Range("candidate", "gates", bound="candidate", default=2.25, parts=(1,), of=2),
            Range("hidden", "hidden"),
        )

    @property
    def exact(self) -> None:
        return None

    def exact_twin(self) -> Self:
        """It has nothing that is not exact."""
        return self

    def arrays(self, features: int) -> dict[str, Shape]:
        hidden = self.hidden_size
        return {"input_weight": (2 * hidden, features), "recurrent_weight": (hidden, hidden), "bias": (2 * hidden,)}

    def start(self) -> dict[str, Array]:
        """Its polynomials are given."""
        return {}

    def as_gru(self, arrays: Arrays) -> tuple[GruConfig, dict[str, Array]]:
        """The same cell as a GRU."""
        return GruConfig(self.hidden_size, reset_gate=False), {
            **arrays,
            "recurrent_weight": np.concatenate([arrays["recurrent_weight"], np.zeros((self.hidden_size,) * 2)]),
            "gate_coefficients": HALVES[None],
            "candidate_coefficients": IDENTITY,
        }

    def evaluate(self, arrays: Arrays, spatial: Array) -> dict[str, Array]:
        """gates (B, T, 2·H): x and n; hidden (B, T, H)."""
        same, given = self.as_gru(arrays)
        return same.evaluate(given, spatial)

    def reach(self, arrays: Arrays, features: FrameMap) -> dict[str, Interval] | None:
        """None where some input may bring z out of [0, 1]."""
        low, high = features(arrays["input_weight"], arrays["bias"])
        (own_low, n_low), (own_high, n_high) = np.split(low, 2, axis=1), np.split(high, 2, axis=1)
        least = most = np.zeros(self.hidden_size)
        back: list[Interval] = []
        states: list[Interval] = []
        for t in range(len(low)):
            back.append(of_affine(arrays["recurrent_weight"], np.zeros(self.hidden_size), least, most))
            least, most = np.minimum(least, n_low[t]), np.maximum(most, n_high[t])
            states.append((least, most))
        entering = own_low + [each[0] for each in back], own_high + [each[1] for each in back]
        if not (entering[0].min() >= -1 and entering[1].max() <= 1):  # what is no number shows nothing
            return None
        gates = np.concatenate([entering[0], n_low], axis=1), np.concatenate([entering[1], n_high], axis=1)
        return {"gates": gates, "hidden": (np.stack([s[0] for s in states]), np.stack([s[1] for s in states]))}

    def kernel(self) -> type[Contracting]:
        from heclstm.model.cells.contracting.lowering import Contracting

        return Contracting

    def module(self, features: int) -> HeContracting:
        from heclstm.model.cells.contracting.torch_module import HeContracting

        return HeContracting(features, self)
