"""Baby, coarse and giant steps of matrices whose best split is known."""

import numpy as np
import pytest

from heclstm.compiler.bsgs import plan, split_offsets, work
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.rates import WORTH, Rates

SLOTS = 4096
RATES = {preference: Rates.at(17, 9, worth) for preference, worth in WORTH.items()}
BALANCE = RATES["balance"]
TAPS = [64 * dy + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def matrix(offsets, inputs=1, outputs=1, modulus=0):
    vectors = {(i, j, k): np.ones(1) for i in range(outputs) for j in range(inputs) for k in offsets}
    return DiagonalMatrix(outputs, inputs, 1, vectors, modulus=modulus)


def split_of(offsets, rates=BALANCE, known=frozenset(), **shape):
    return split_offsets(matrix(offsets, **shape), set(known), SLOTS, rates)


def rotations(split):
    return sum(1 for baby in split.babies if baby) + len(split.turned_from) + split.turns.total()


def test_nine_taps_need_four_keys():
    """dy · 64 + dx: −1 and 1, −64 and 64 instead of 8 keys; where only time counts, all eight are hoisted."""
    assert len(split_of(TAPS).rotation_steps) <= 4
    assert sorted(split_of(TAPS, RATES["time"]).babies) == sorted(TAPS)


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_a_dense_band_is_split(rates):
    """n offsets in a row cost b babies, c coarse steps and n/bc giants, where n rotations would do, too."""
    split = split_of(range(256), rates)
    giants = sum(map(len, split.chains))
    assert len(split.babies) * len(split.coarse) * giants >= 256
    assert rotations(split) < 64  # 2√n is 32, and no side is so dear as to be avoided


def test_even_spacings_share_a_key():
    """−128 … 127 by some babies, and one key for all coarse steps, one for all giants, at most two each."""
    split = split_of(range(-128, 128), RATES["keys"])
    babies = {baby for baby in split.babies if baby}
    assert len(set(split.turns)) <= 2
    assert len({turn for _, turn in split.turned_from}) <= 2
    assert len(split.rotation_steps - babies) <= 4


def test_around_the_period_one_direction_is_enough():
    """Offsets −8 … 7 modulo 16 are 0 … 15: Horner's rule turns one way, by one key."""
    assert len(split_of(range(-8, 8), RATES["keys"], modulus=16).rotation_steps) == 1
    assert len(split_of(range(-8, 8), RATES["keys"]).rotation_steps) > 1


@pytest.mark.parametrize("offsets", [[0], [5], [-7], [SLOTS // 2]])
def test_one_offset_is_one_rotation_at_most(offsets):
    split = split_of(offsets)
    assert {step % SLOTS for step in split.rotation_steps} == {k % SLOTS for k in offsets} - {0}


def test_no_offset_is_no_rotation():
    assert split_of([]).rotation_steps == set()


def test_known_keys_are_preferred():
    """A split whose steps have keys already beats an equal one that asks for new ones."""
    offsets = [0, 3, 5, 8]  # {0, 3} + {0, 5}, or {0, 5} + {0, 3}, or four babies
    assert split_of(offsets, known={3, 5, 8}).rotation_steps <= {3, 5, 8}


def test_fewer_keys_or_fewer_seconds():
    """What is preferred decides: a key less is worth more turns."""
    whole = matrix(range(256))
    found = {name: split_offsets(whole, set(), SLOTS, rates) for name, rates in RATES.items()}
    keys = [len(found[name].rotation_steps) for name in ("keys", "balance", "time")]
    seconds = [work(whole, found[name], BALANCE) for name in ("keys", "balance", "time")]
    assert keys == sorted(keys)
    assert keys[0] < keys[2]
    assert seconds == sorted(seconds)[::-1]
    assert seconds[0] > seconds[2]


def test_many_outputs_ask_for_fewer_giants_and_many_inputs_for_fewer_babies():
    """Babies and coarse steps are paid for each input, giants for each output."""
    band = range(64)
    giants = {outputs: split_of(band, outputs=outputs).turns.total() for outputs in (1, 8)}
    turned = {inputs: len((s := split_of(band, inputs=inputs)).babies) * len(s.coarse) for inputs in (1, 8)}
    assert giants[8] <= giants[1]
    assert turned[8] < turned[1]


def test_a_plan_turns_its_vectors_back_by_the_giant_step():
    """rotate(x ⊙ turned, g) = rotate(x, g) ⊙ vector: turned is the vector turned right by g."""
    vector = np.arange(8.0)
    one = DiagonalMatrix(1, 1, 8, {(0, 0, k): vector for k in (0, 1, 4, 5)})
    split = split_offsets(one, set(), 8, BALANCE)
    scales = (2.0,) * len(split.coarse)
    transform = plan(one, split, level=3, plaintext_scales=scales, output_scale=4.0)
    assert (transform.level, transform.plaintext_scales, transform.output_scale) == (3, scales, 4.0)
    for (_, chain, position, _, _), row in zip(transform.index, transform.vectors, strict=True):
        assert np.array_equal(row, np.roll(vector, split.chains[chain][position]))
