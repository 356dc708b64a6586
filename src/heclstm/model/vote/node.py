"""Weighted unit and sequence voting, in NumPy.

y_t = α (w_s·s_t + b_s) + (1 − α)(w_h·h_t + b_h),   α in (0, 1)
contribution_t = v_t y_t,   score = Σ_t contribution_t

weighted_unit.spatial_weight (1, D)   .temporal_weight (1, H)   .spatial_bias, .temporal_bias, .alpha (1,)
vote.weight (T,)

Of an ensemble with K members (`model.ensemble`), each has its own y_t and v_t, and contributions are their sums: K in
place of 1, and vote.weight (T, K).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heclstm.errors import ModelError
from heclstm.model.graph import Array, Arrays, Node, Range, Shape

if TYPE_CHECKING:
    from heclstm.circuit.layout import Layout, ResultLayout, VectorLayout
    from heclstm.compiler.affine import AffineMap
    from heclstm.compiler.expressions import Trace

RANGES = (Range("contributions", "contributions"), Range("score", "score"))


def votes(arrays: Arrays) -> Array:
    """(T, K): the weight of each frame in the score of each member."""
    weight = arrays["vote.weight"]
    return weight.reshape(len(weight), -1)


@dataclass(frozen=True, kw_only=True)
class Vote(Node):
    """source: the spatial features s_t; hidden: the states h_t. It makes weighted_unit, contributions and score."""

    hidden: str
    features: int
    hidden_size: int
    frames: int
    members: int = 1

    @property
    def arrays(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {
            "weighted_unit.spatial_weight": (self.members, self.features),
            "weighted_unit.temporal_weight": (self.members, self.hidden_size),
        }
        shapes |= {f"weighted_unit.{name}": (self.members,) for name in ("spatial_bias", "temporal_bias", "alpha")}
        return {**shapes, "vote.weight": (self.frames, self.members) if self.members > 1 else (self.frames,)}

    def check(self, arrays: Arrays) -> None:
        alpha = arrays["weighted_unit.alpha"]
        if np.any(alpha <= 0) or np.any(alpha >= 1):
            raise ModelError(
                "weighted_unit.alpha: got a value outside (0, 1), expected a weight between the two features"
            )

    def evaluate(self, arrays: Arrays, values: Mapping[str, Array]) -> dict[str, Array]:
        """weighted_unit (B, T, K), contributions (B, T, 1), and score (B, 1), a logit."""
        scores = {}
        for part, source in (("spatial", self.source), ("temporal", self.hidden)):
            weight, bias = (arrays[f"weighted_unit.{part}_{name}"] for name in ("weight", "bias"))
            scores[part] = values[source] @ weight.T + bias
        alpha = arrays["weighted_unit.alpha"]
        mixed = alpha * scores["spatial"] + (1 - alpha) * scores["temporal"]
        contributions = (votes(arrays) * mixed).sum(axis=2, keepdims=True)
        return {"weighted_unit": mixed, "contributions": contributions, "score": contributions.sum(axis=1)}

    def lower(
        self,
        trace: Trace,
        arrays: Arrays,
        features: AffineMap,
        spatial: tuple[tuple[int, ...], Layout],
        temporal: tuple[int, VectorLayout],
        memory: Array | None = None,
    ) -> tuple[int, ResultLayout]:
        """Write it: the value that holds score and contributions, and its layout."""
        from heclstm.model.vote.lowering import write_vote

        return write_vote(trace, arrays, features, spatial, temporal, memory)
