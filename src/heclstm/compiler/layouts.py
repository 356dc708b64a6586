"""Which layout each feature map gets: the cheapest way through all candidates.

Every map between two layouts has a price (its rotations, from `bsgs`), so the choice is a shortest path: stage by
stage, the cheapest way to reach each candidate layout is kept.
"""

from __future__ import annotations

import numpy as np

from heclstm.circuit.layout import ImageLayout, Layout, VectorLayout, power_of_two
from heclstm.compiler.affine import AffineMap, SequenceMap, Shape
from heclstm.compiler.bsgs import BABY_COST, GIANT_COST, split_offsets
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.fuse import Fused
from heclstm.compiler.linear import fold_of, offsets_of

DIAGONAL_COST = 0.25  # one multiplication with an encoded diagonal, against one baby step


def choose_layouts(fused: Fused, slots: int) -> list[ImageLayout]:
    """The layout of the input and of every stage's output."""
    frames, cell = fused.frames, fused.cell.cell
    first = image_layout(fused.input_shape, frames, slots)
    state = VectorLayout(slots, frames, cell.hidden_size)
    ways: list[tuple[float, list[ImageLayout]]] = [(0.0, [first])]
    for stage in fused.stages:
        reached = []
        for candidate in _candidates(stage.affine.shape, frames, slots, {way[-1] for _, way in ways}):
            prices = [
                (cost + map_cost(stage.affine, way[-1], candidate), index) for index, (cost, way) in enumerate(ways)
            ]
            cost, index = min(prices)
            reached.append((cost, [*ways[index][1], candidate]))
        ways = reached
    closing = [cost + cell.projections * _projection_cost(way[-1], state) for cost, way in ways]
    return ways[int(np.argmin(closing))][1]


def image_layout(shape: Shape, frames: int, slots: int, gap_y: int = 1, gap_x: int = 1) -> ImageLayout:
    """Feature maps of `shape` with the least rows and columns that hold them."""
    channels, height, width = shape
    rows, columns = power_of_two(height * gap_y), power_of_two(width * gap_x)
    return ImageLayout(slots, frames, channels, height, width, rows, columns, gap_y, gap_x)


def map_cost(affine: AffineMap | SequenceMap, source: Layout, target: Layout) -> float:
    """Price of one affine map, in baby steps: its rotations, diagonals and rotate-and-adds."""
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
    matrix = DiagonalMatrix(target.ciphertexts, source.ciphertexts, 1, vectors)
    split = split_offsets(matrix, set(), slots)
    giants = sum(len(chain) for chain in split.chains)
    folds = len(fold_of(source, target))
    return (
        BABY_COST * len(split.babies) * source.ciphertexts
        + GIANT_COST * (giants + folds) * target.ciphertexts
        + DIAGONAL_COST * len(vectors)
    )


def _projection_cost(source: Layout, state: VectorLayout) -> float:
    """Price of one projection from pooled features: dense, at most `cells` diagonals."""
    return GIANT_COST * len(fold_of(source, state)) + DIAGONAL_COST * state.cells


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
