"""A sparse matrix between two layouts → its diagonals.

    M = [[ 1, 2, 3, 4],      diagonal 0: [1, 6, 11, 16]   · v
         [ 5, 6, 7, 8],      diagonal 1: [2, 7, 12, 13]   · v turned left by 1
         [ 9,10,11,12],      diagonal 2: [3, 8,  9, 14]   · v turned left by 2
         [13,14,15,16]]      diagonal 3: [4, 5, 10, 15]   · v turned left by 3   → sum = M v

Repeated layouts need fewer diagonals than the matrix has. Say the input repeats with period P and the output with
period Q, both dividing the slots n.

- P ≤ Q: a turn by k and by k + P read the same, so offsets are taken modulo P.
- Q < P: there are P/Q copies of the output in one period of the input, and copy p standing at p·Q can do the work
  of the offset k + p·Q while the others do theirs: offsets are taken modulo Q, each copy holds a part of the sum,
  and log2(P/Q) rotate-and-adds give every copy the whole. For a dense layer this is the hybrid method of Juvekar
  et al. (GAZELLE, USENIX Security 2018); it serves convolutions as well.

Either way no more than min(P, Q) diagonals remain, and the result fills all copies without an extra level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Ints, Layout
from heclstm.compiler.expressions import DiagonalMatrix, Trace
from heclstm.errors import LayoutError


@dataclass(frozen=True, eq=False)
class Entries:
    """Non-zero entries of a matrix between the tensors (T, F) of two layouts: flat row and column, and value."""

    rows: Ints
    columns: Ints
    values: Floats

    @classmethod
    def per_frame(
        cls, matrix: sparse.sparray, frames: int, *, shift: int = 0, targets: Sequence[int] | None = None
    ) -> Entries:
        """`matrix` (F_out × F_in) for every frame, or for the frames `targets`, each reading frame − `shift`."""
        coo = sparse.coo_array(matrix)
        coo.eliminate_zeros()
        targets = range(max(0, shift), frames) if targets is None else targets
        chosen = np.array(targets, dtype=np.int64)[:, None]
        return cls(
            (chosen * coo.shape[0] + coo.row).ravel(),
            ((chosen - shift) * coo.shape[1] + coo.col).ravel(),
            np.tile(coo.data, len(chosen)).astype(np.float64),
        )

    @classmethod
    def dense(cls, matrix: Floats) -> Entries:
        """The non-zero entries of a matrix over whole tensors, (T_out · F_out) × (T_in · F_in)."""
        rows, columns = np.nonzero(matrix)
        return cls(rows.astype(np.int64), columns.astype(np.int64), matrix[rows, columns])


Blocks = dict[tuple[int, int], Entries]  # (output tensor, input tensor) → entries
Bias = Floats | None  # (T, F) or nothing


def diagonals(blocks: Blocks, sources: Sequence[Layout], targets: Sequence[Layout]) -> DiagonalMatrix:
    """The block matrix from the ciphertexts of `sources` to those of `targets`.

    Raises LayoutError if the blocks need different rotate-and-adds.
    """
    slots = sources[0].slots
    if {layout.slots for layout in (*sources, *targets)} != {slots}:
        raise LayoutError(f"linear map: layouts of different slot counts, expected {slots} in all")
    length = max(min(layout.period, slots) for layout in (*sources, *targets))
    first_in = np.cumsum([0, *(layout.ciphertexts for layout in sources)])
    first_out = np.cumsum([0, *(layout.ciphertexts for layout in targets)])
    vectors: dict[tuple[int, int, int], Floats] = {}
    folds = set()
    for (o, i), entries in blocks.items():
        for (block_out, block_in, k), vector in _by_offset(entries, sources[i], targets[o]):
            vectors[int(first_out[o]) + block_out, int(first_in[i]) + block_in, k] = np.tile(
                vector, length // len(vector)
            )
        folds.add(fold_of(sources[i], targets[o]))
    if len(folds) != 1:
        raise LayoutError(f"linear map: blocks need different rotate-and-adds {sorted(folds)}; lower them apart")
    # With ends of several periods, what is a multiple of the one is none of the other.
    periods = {(min(a.period, slots), min(b.period, slots)) for a in sources for b in targets}
    modulus = min(periods.pop()) if len(periods) == 1 else slots
    return DiagonalMatrix(int(first_out[-1]), int(first_in[-1]), length, vectors, folds.pop(), modulus)


def fold_of(source: Layout, target: Layout) -> tuple[int, ...]:
    """The rotate-and-adds that complete the partial sums of a map from `source` to `target`."""
    step, last = min(source.period, source.slots) // 2, min(target.period, source.slots)
    folds = []
    while step >= last:
        folds.append(step)
        step //= 2
    return tuple(folds)


def offsets_of(slot_in: Ints, slot_out: Ints, source: Layout, target: Layout) -> Ints:
    """The turn that brings slot_in to slot_out, modulo the shorter period, in −P/2 < k ≤ P/2."""
    period = min(source.period, target.period, source.slots)
    offset = (slot_in - slot_out) % period
    return np.where(offset > period // 2, offset - period, offset)


def _by_offset(entries: Entries, source: Layout, target: Layout) -> Iterator[tuple[tuple[int, int, int], Floats]]:
    if not len(entries.values):
        return
    slots = source.slots
    period_in, period_out = min(source.period, slots), min(target.period, slots)
    block_in, slot_in = np.divmod(source.slot_of.ravel()[entries.columns], slots)
    block_out, slot_out = np.divmod(target.slot_of.ravel()[entries.rows], slots)
    offset = offsets_of(slot_in, slot_out, source, target)
    if period_out < period_in:  # the copy of the output that can see this entry
        slot_out = (slot_in - offset) % period_in
    keys = np.stack([block_out, block_in, offset])
    order = np.lexsort(keys)
    keys, slot_out, values = keys[:, order], slot_out[order], entries.values[order]
    changes = np.any(np.diff(keys, axis=1) != 0, axis=0)
    starts = np.flatnonzero(np.r_[True, changes]).tolist()
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        vector = np.zeros(max(period_in, period_out))
        np.add.at(vector, slot_out[start:end], values[start:end])
        i, j, k = (int(part) for part in keys[:, start])
        yield (i, j, k), vector


def apply_linear(
    trace: Trace,
    sources: Sequence[tuple[tuple[int, ...], Layout]],
    targets: Sequence[tuple[Layout, Bias]],
    blocks: Blocks,
) -> list[tuple[int, ...]]:
    """Write target_o = Σ_i blocks[o, i] · source_i + bias_o; one level.

    Costs the rotations of its plan, log2 rotate-and-adds where a target is shorter than its source included.
    """
    matrix = diagonals(blocks, [layout for _, layout in sources], [layout for layout, _ in targets])
    values = trace.linear(tuple(value for values, _ in sources for value in values), matrix)
    results, first = [], 0
    for layout, bias in targets:
        own = list(values[first : first + layout.ciphertexts])
        first += layout.ciphertexts
        if bias is not None and np.any(bias):
            constants = layout.pack(bias)
            own = [trace.sum(value, constant=c) for value, c in zip(own, constants, strict=True)]
        results.append(tuple(own))
    return results
