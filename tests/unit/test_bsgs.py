"""Baby and giant steps of matrices whose best split is known."""

import numpy as np
import pytest

from heclstm.compiler.bsgs import plan, split_offsets
from heclstm.compiler.expressions import DiagonalMatrix

SLOTS = 4096


def matrix(offsets, inputs=1, outputs=1):
    vectors = {(i, j, k): np.ones(1) for i in range(outputs) for j in range(inputs) for k in offsets}
    return DiagonalMatrix(outputs, inputs, 1, vectors)


def test_nine_taps_need_four_keys():
    """dy · 64 + dx: 3 babies and 3 giants instead of 9 rotations."""
    split = split_offsets(matrix([64 * dy + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]), set(), SLOTS)
    assert sorted(split.babies) == [-1, 0, 1]
    assert split.chains == ((0, 64), (-64,))
    assert split.rotation_steps() == {-1, 1, 64, -64}


def test_a_dense_band_is_split_evenly():
    """n offsets in a row cost b babies and n/b giants: both stay below n/2, and their product holds n."""
    split = split_offsets(matrix(range(256)), set(), SLOTS)
    giants = sum(map(len, split.chains))
    assert len(split.babies) * giants >= 256
    assert len(split.babies) + giants < 64  # 2√n is 32, and neither side is so dear as to be avoided
    assert min(len(split.babies), giants) >= 8


def test_giants_of_an_even_spacing_share_one_key_a_direction():
    split = split_offsets(matrix(range(-128, 128)), set(), SLOTS)
    giant_keys = {
        abs(after - before) for chain in split.chains for before, after in zip(chain, chain[1:], strict=False)
    }
    assert len(giant_keys) == 1


@pytest.mark.parametrize("offsets", [[0], [5], [-7], [SLOTS // 2]])
def test_one_offset_is_one_rotation_at_most(offsets):
    split = split_offsets(matrix(offsets), set(), SLOTS)
    assert split.rotation_steps() == set(offsets) - {0}


def test_no_offset_is_no_rotation():
    assert split_offsets(matrix([]), set(), SLOTS).rotation_steps() == set()


def test_known_keys_are_preferred():
    """A split whose steps have keys already beats an equal one that asks for new ones."""
    offsets = [0, 3, 5, 8]  # {0, 3} + {0, 5}, or {0, 5} + {0, 3}, or four babies
    assert split_offsets(matrix(offsets), {3, 5, 8}, SLOTS).rotation_steps() <= {3, 5, 8}


def test_many_outputs_ask_for_fewer_giants_and_many_inputs_for_fewer_babies():
    """Babies are paid for each input, giants for each output."""
    band = range(64)
    giants = {
        outputs: sum(map(len, split_offsets(matrix(band, 1, outputs), set(), SLOTS).chains)) for outputs in (1, 8)
    }
    babies = {inputs: len(split_offsets(matrix(band, inputs), set(), SLOTS).babies) for inputs in (1, 8)}
    assert giants[8] < giants[1]
    assert babies[8] < babies[1]


def test_a_plan_turns_its_vectors_back_by_the_giant_step():
    """rotate(x ⊙ turned, g) = rotate(x, g) ⊙ vector: turned is the vector turned right by g."""
    vector = np.arange(8.0)
    one = DiagonalMatrix(1, 1, 8, {(0, 0, k): vector for k in (0, 1, 4, 5)})
    split = split_offsets(one, set(), 8)
    transform = plan(one, split, level=3, plaintext_scales=(2.0,), output_scale=4.0)
    assert (transform.level, transform.plaintext_scales, transform.output_scale) == (3, (2.0,), 4.0)
    for (_, chain, position, _, _), row in zip(transform.index, transform.vectors, strict=True):
        assert np.array_equal(row, np.roll(vector, split.chains[chain][position]))
