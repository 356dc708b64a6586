"""Which layout each feature map gets: the cheapest way through all candidates.

Every map between two layouts has a price (its rotations, from `bsgs`), so the choice is a shortest path: stage by
stage, the cheapest way to reach each candidate layout is kept.
"""

from __future__ import annotations

import numpy as np

from heclstm.circuit.layout import ImageLayout, Layout, VectorLayout, power_of_two
from heclstm.compiler.affine import AffineMap, SequenceMap, Shape
from heclstm.compiler.bsgs import split_offsets, work
from heclstm.compiler.displaced import displaced
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.fuse import Fused
from heclstm.compiler.linear import fold_of, offsets_of
from heclstm.compiler.patches import patched, reading
from heclstm.compiler.rates import TYPICAL_LEVEL, TYPICAL_SPECIAL, WORTH, Rates


def choose_layouts(fused: Fused, slots: int, worth: float = WORTH["balance"]) -> list[ImageLayout]:
    """The layout of the input and of every stage's output. worth: of a limb of keys, in NTTs."""
    rates = Rates.at(TYPICAL_LEVEL, TYPICAL_SPECIAL, worth)
    frames, cell = fused.frames, fused.cell.cell
    first = image_layout(fused.input_shape, frames, slots)
    state = VectorLayout(slots, frames, cell.hidden_size)
    opening = fused.stages[0].affine if fused.stages else None
    inputs = [first, *(patched(first, opening) if isinstance(opening, AffineMap) else ())]
    ways: list[tuple[float, list[ImageLayout]]] = [(0.0, [layout]) for layout in inputs]
    for stage in fused.stages:
        reached = []
        for candidate in _candidates(stage.affine.shape, frames, slots, {way[-1] for _, way in ways}):
            prices = [
                (cost + map_cost(stage.affine, way[-1], candidate, rates), index)
                for index, (cost, way) in enumerate(ways)
            ]
            cost, index = min(prices)
            reached.append((cost, [*ways[index][1], candidate]))
        ways = reached
    closing = [cost + cell.projections * _projection_cost(way[-1], state, rates) for cost, way in ways]
    return displaced(fused, ways[int(np.argmin(closing))][1])


def image_layout(shape: Shape, frames: int, slots: int, gap_y: int = 1, gap_x: int = 1) -> ImageLayout:
    """Feature maps of `shape` with the least rows and columns that hold them."""
    channels, height, width = shape
    rows, columns = power_of_two(height * gap_y), power_of_two(width * gap_x)
    return ImageLayout(slots, frames, channels, height, width, rows, columns, gap_y, gap_x)


def map_cost(affine: AffineMap | SequenceMap, source: Layout, target: Layout, rates: Rates) -> float:
    """Price of one affine map: its rotations, diagonals and rotate-and-adds, and their keys."""
    if isinstance(source, ImageLayout) and source.patches:
        read = reading(affine, source) if isinstance(affine, AffineMap) else None
        assert read is not None  # or it were no candidate
        affine, source = read, source.spread
    coo = affine.matrix.tocoo()
    if isinstance(affine, SequenceMap):
        slot_in, slot_out = source.slot_of.ravel()[coo.col], target.slot_of.ravel()[coo.row]
    else:
        slot_in, slot_out = source.slot_of[0, coo.col], target.slot_of[0, coo.row]
    slots = source.slots
    offset = offsets_of(slot_in % slots, slot_out % slots, source, target) + slots
    block = slot_out // slots * source.ciphertexts + slot_in // slots
    block, offset = np.divmod(np.unique(block * 2 * slots + offset), 2 * slots)
    distinct = np.stack([*np.divmod(block, source.ciphertexts), offset - slots])
    empty = np.zeros(1)
    vectors = {(int(i), int(j), int(k)): empty for i, j, k in distinct.T}
    folds = fold_of(source, target)
    modulus = min(source.period, target.period, slots)
    matrix = DiagonalMatrix(target.ciphertexts, source.ciphertexts, 1, vectors, folds, modulus)
    split = split_offsets(matrix, set(), slots, rates)
    return work(matrix, split, rates) + rates.key * (len(split.rotation_steps) + len(folds))


def _projection_cost(source: Layout, state: VectorLayout, rates: Rates) -> float:
    """Price of one projection from pooled features: dense, at most `cells` diagonals."""
    return (rates.giant + rates.key) * len(fold_of(source, state)) + rates.diagonal * state.cells


def _candidates(shape: Shape, frames: int, slots: int, before: set[ImageLayout]) -> list[ImageLayout]:
    """Dense, or with the gaps that a stride leaves when nothing moves."""
    gaps = {(1, 1)}
    for layout in before:
        gaps.add(
            (
                max(1, layout.rows // power_of_two(shape[1])),
                max(1, layout.columns // power_of_two(shape[2])),
            )
        )
    return [image_layout(shape, frames, slots, *gap) for gap in sorted(gaps)]
