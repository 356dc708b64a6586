"""Weighted unit and sequence voting: score and contributions of each frame, as one linear map.

    contribution_t = v_t (α (w_s·s_t + b_s) + (1 − α)(w_h·h_t + b_h)),      score = Σ_t contribution_t

The result holds the score, then the contributions, and nothing else. Of an ensemble, contributions are sums over its
members, each of which has its own weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout, ResultLayout, VectorLayout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.linear import Entries, apply_linear
from heclstm.model.vote.node import votes


def write_vote(
    trace: Trace,
    arrays: Mapping[str, Floats],
    features: AffineMap,
    spatial: tuple[tuple[int, ...], Layout],
    temporal: tuple[int, VectorLayout],
    memory: Floats | None = None,
) -> tuple[int, ResultLayout]:
    """spatial: the values from which `features` makes s_t; temporal: h_t of every frame, or with a
    memory (H, T, T) the values of which h_t = Σ_s memory[:, t, s] ⊙ value_s.

    Costs one level after the states; the spatial scores take another one beside the recurrence.
    """
    weights, alpha = votes(arrays), arrays["weighted_unit.alpha"]
    members, frames, slots = len(alpha), len(weights), spatial[1].slots
    trace.layer = "weighted_unit.spatial"
    name = trace.layer
    score = AffineMap(
        name, sparse.csr_array(arrays["weighted_unit.spatial_weight"]), np.zeros(members), (members, 1, 1)
    )
    score = score.after(features)
    of_members = VectorLayout(slots, frames, members)
    bias = np.tile(score.bias, (frames, 1))
    ((spatial_scores,),) = apply_linear(
        trace, [spatial], [(of_members, bias)], {(0, 0): Entries.per_frame(score.matrix, frames)}
    )
    trace.layer = "vote"
    result = ResultLayout(slots, 1, 1, frames)
    constant = alpha * arrays["weighted_unit.spatial_bias"]
    constant = constant + (1 - alpha) * arrays["weighted_unit.temporal_bias"]
    contributions = weights @ constant
    bias = np.concatenate([contributions.sum(keepdims=True), contributions])[None, :]
    temporal_weight = (1 - alpha)[:, None] * arrays["weighted_unit.temporal_weight"]
    value, layout = temporal
    ((final,),) = apply_linear(
        trace,
        [((value,), layout), ((spatial_scores,), of_members)],
        [(result, bias)],
        {(0, 0): _votes(weights, temporal_weight, memory), (0, 1): _votes(weights, np.diag(alpha))},
    )
    return final, result


def _votes(weights: Floats, weight: Floats, memory: Floats | None = None) -> Entries:
    """(score, T contributions) from a tensor (T, F) weighed by `weight` (K, F), `weights` (T, K) and the memory."""
    frames, features = len(weights), weight.shape[1]
    if memory is None:
        memory = np.broadcast_to(np.eye(frames), (features, frames, frames))
    contributions = np.einsum("tf,fts->tsf", weights @ weight, memory)
    matrix = np.concatenate([contributions.sum(axis=0, keepdims=True), contributions])
    return Entries.dense(matrix.reshape(1 + frames, frames * features))
