"""How far the values of a model reach at most, for every input that a client lets through.

A query holds fractions in [0, 1], whatever it shows (`data.sequence` refuses others), so intervals can be carried from
there to the score. Affine maps that meet are one matrix here (`compiler.fuse`), and the range of an affine map over a
box is attained, hence that of what enters the first activation too. Further on boxes forget which values go together,
and bounds get wider than what can be reached; nothing ever passes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from heclstm.compiler.affine import AffineMap, SequenceMap
from heclstm.compiler.fuse import Fused, fuse
from heclstm.model.blocks.pooling import Pooling
from heclstm.model.graph import Array, Polynomial, part
from heclstm.model.interval import Interval, largest, of_affine, of_polynomial
from heclstm.model.vote.node import votes
from heclstm.model.weights import Model

LARGEST = 1e300  # that a card holds


def reach(model: Model) -> dict[str, float]:
    """The largest absolute value of each watched value that has a bound, by the name of its range.

    Raises ModelError on an exact model. Nothing behind a cell without a bound has one, nor what is too large to tell.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        intervals = _intervals(fuse(model))
    found: dict[str, float] = {}
    for each in model.config.graph.ranges:
        if each.value in intervals:
            low, high = intervals[each.value]
            bound = max(largest((low[..., p], high[..., p])) for p in each.pieces(low.shape[-1]))
            if bound <= LARGEST:  # no infinity, and not what came of two
                found[each.name] = bound
    return found


def _intervals(fused: Fused) -> dict[str, Interval]:
    """By the names of values, (T, F) each, or (F,) for the score."""
    model, frames = fused.model, fused.frames
    polynomials = {node.name: node for node in model.config.graph.nodes if isinstance(node, Polynomial)}
    pooled = {node.source: node for node in model.config.graph.nodes if isinstance(node, Pooling)}
    size = frames, int(np.prod(fused.input_shape))
    box: Interval = np.zeros(size), np.ones(size)
    found: dict[str, Interval] = {}
    for stage in fused.stages:
        node = polynomials[stage.name]
        found[node.source] = before = _of(stage.affine, box)
        found[node.value] = box = of_polynomial(stage.coefficients, *before)
        if pooling := pooled.get(node.value):
            found[pooling.value] = _of(pooling.affine_map(model.arrays), box)
    features = fused.features.over(frames)
    found["spatial"] = _of(features, box)

    def of_features(weight: Array, bias: Array) -> Interval:
        return _of(AffineMap("", sparse.csr_array(weight), bias, (len(bias), 1, 1)).after(fused.features), box)

    cell, own = fused.cell, part(model.arrays, fused.cell.name)
    if (reached := cell.cell.reach(own, of_features)) is None:
        return found
    found |= {f"{cell.name}.{name}": interval for name, interval in reached.items()}
    spatial, hidden, bias = _mixture(model.arrays)
    weights = votes(model.arrays)
    linear = cell.cell.linear(own, frames)
    if linear is None:  # s_t and h_t are taken as if they had nothing to do with each other
        of_s, of_h = of_features(spatial, bias), of_affine(hidden, np.zeros(len(hidden)), *reached["hidden"])
        low, high = ((weights * (s + h)).sum(1, keepdims=True) for s, h in zip(of_s, of_h, strict=True))
        return found | {"contributions": (low, high), "score": (low.sum(0), high.sum(0))}
    # What contribution t takes of the features of frame s, (T, T, D), and its constant.
    taken = np.einsum("th,hts,hd->tsd", weights @ hidden, linear.memory, linear.weight)
    taken[np.arange(frames), np.arange(frames)] += weights @ spatial
    constant = weights @ bias + np.einsum("th,hts,h->t", weights @ hidden, linear.memory, linear.bias)
    for name, matrix, shift in (
        ("contributions", taken, constant),
        ("score", taken.sum(0, keepdims=True), constant.sum(keepdims=True)),
    ):
        whole = sparse.csr_array(matrix.reshape(len(shift), -1)) @ features.matrix
        offset = matrix.reshape(len(shift), -1) @ features.bias.ravel() + shift
        low, high = _range(whole, offset, box)
        found[name] = (low, high) if name == "score" else (low[:, None], high[:, None])
    return found


def _of(affine: AffineMap | SequenceMap, box: Interval) -> Interval:
    """(T, F_in) → (T, F_out)"""
    frames = len(box[0])
    whole = affine.over(frames) if isinstance(affine, AffineMap) else affine
    low, high = _range(whole.matrix, whole.bias.ravel(), box)
    return low.reshape(frames, -1), high.reshape(frames, -1)


def _range(matrix: sparse.csr_array, bias: Array, box: Interval) -> Interval:
    low, high = (end.ravel() for end in box)
    up, down = matrix.maximum(0), matrix.minimum(0)
    return up @ low + down @ high + bias, up @ high + down @ low + bias


def _mixture(arrays: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """What y_t takes of s_t (K, D) and of h_t (K, H), and its constant (K,)."""
    alpha = arrays["weighted_unit.alpha"]
    unit = part(arrays, "weighted_unit")
    constant = alpha * unit["spatial_bias"] + (1 - alpha) * unit["temporal_bias"]
    return alpha[:, None] * unit["spatial_weight"], (1 - alpha)[:, None] * unit["temporal_weight"], constant
