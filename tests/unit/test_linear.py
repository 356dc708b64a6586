"""Matrices as diagonals: the picture of `compiler.linear`, repeated layouts, and what is refused."""

import numpy as np
import pytest
from scipy import sparse

from heclstm.circuit.layout import VectorLayout
from heclstm.compiler.expressions import Trace
from heclstm.compiler.linear import Entries, apply_linear, diagonals, fold_of
from heclstm.errors import LayoutError

PICTURE = np.arange(1.0, 17.0).reshape(4, 4)


def vectors(slots, columns, rows, matrix, frames=1):
    source, target = VectorLayout(slots, frames, columns), VectorLayout(slots, frames, rows)
    return diagonals({(0, 0): Entries.per_frame(sparse.csr_array(matrix), frames)}, [source], [target])


def test_the_picture():
    """Diagonal 3 is a turn by −1 in a repeated layout: offsets lie in −P/2 < k ≤ P/2."""
    found = vectors(4, 4, 4, PICTURE)
    expected = {0: [1, 6, 11, 16], 1: [2, 7, 12, 13], 2: [3, 8, 9, 14], -1: [4, 5, 10, 15]}
    assert {k: vector.tolist() for (_, _, k), vector in found.vectors.items()} == expected
    assert found.folds == ()


def test_frames_do_not_add_diagonals():
    """With two frames every diagonal is one plaintext twice as long, turned by twice as much."""
    found = vectors(16, 4, 4, PICTURE, frames=2)
    assert found.offsets() == [-2, 0, 2, 4]
    assert found.vectors[0, 0, 2].tolist() == [2, 2, 7, 7, 12, 12, 13, 13]


def test_a_short_output_is_folded():
    """4 → 1: one diagonal, all columns at once, and rotate-and-adds by 2 and 1 instead of four diagonals."""
    found = vectors(8, 4, 1, PICTURE[:1])
    assert {key: vector.tolist() for key, vector in found.vectors.items()} == {(0, 0, 0): [1, 2, 3, 4]}
    assert found.folds == (2, 1)


def test_a_long_output_needs_no_fold():
    """1 → 4: the input repeats, so one diagonal serves all rows."""
    found = vectors(8, 1, 4, PICTURE[:, :1])
    assert {key: vector.tolist() for key, vector in found.vectors.items()} == {(0, 0, 0): [1, 5, 9, 13]}
    assert found.folds == ()


def test_folds_run_from_the_half_of_the_longer_period_to_the_shorter():
    long, short = VectorLayout(64, 1, 32), VectorLayout(64, 1, 4)
    assert fold_of(long, short) == (16, 8, 4)
    assert fold_of(short, long) == fold_of(long, long) == ()
    assert fold_of(VectorLayout(16, 1, 32), short) == (8, 4)  # two ciphertexts: the sum over them comes first


def test_a_matrix_without_entries_is_a_map_to_zero():
    """A pruned layer. Its output is defined all the same, and its bias is added."""
    found = vectors(8, 4, 4, np.zeros((4, 4)))
    assert found.vectors == {}
    trace, layout = Trace(8), VectorLayout(8, 1, 4)
    bias = np.array([[1.0, 2.0, 3.0, 4.0]])
    empty = {(0, 0): Entries.dense(np.zeros((4, 4)))}
    ((value,),) = apply_linear(trace, [((trace.source(),), layout)], [(layout, bias)], empty)
    assert trace.expressions[-1].outputs == (value,)
    assert np.array_equal(trace.expressions[-1].constant, [1, 2, 3, 4, 1, 2, 3, 4])


def test_a_matrix_for_no_frame_has_no_entries():
    """The forget gate of a sequence of one frame."""
    entries = Entries.per_frame(sparse.csr_array(PICTURE), 1, targets=[])
    assert len(entries.rows) == len(entries.columns) == len(entries.values) == 0


def test_layouts_of_different_slots_are_refused():
    entries = {(0, 0): Entries.dense(PICTURE)}
    with pytest.raises(LayoutError, match="layouts of different slot counts, expected 8 in all"):
        diagonals(entries, [VectorLayout(8, 1, 4)], [VectorLayout(16, 1, 4)])


def test_blocks_with_different_folds_are_refused():
    long, short = VectorLayout(16, 1, 8), VectorLayout(16, 1, 4)
    blocks = {(0, 0): Entries.dense(np.ones((4, 8))), (0, 1): Entries.dense(np.ones((4, 4)))}
    with pytest.raises(LayoutError, match=r"different rotate-and-adds \[\(\), \(4,\)\]; lower them apart"):
        diagonals(blocks, [long, short], [short])
