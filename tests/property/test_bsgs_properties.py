"""Every way to split offsets into baby, coarse and giant steps gives the same map. Whole numbers make it exact."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heclstm.backend.clear import ClearEvaluator
from heclstm.compiler.bsgs import plan, split_offsets, splits
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.rates import WORTH, Rates

SLOTS = 64
RATES = Rates.at(17, 9, WORTH["balance"])
offset_sets = st.sets(st.integers(-SLOTS // 2 + 1, SLOTS // 2), min_size=1, max_size=20).map(sorted)


def of_offsets(offsets, modulus=0):
    return DiagonalMatrix(1, 1, 1, {(0, 0, k): np.ones(1) for k in offsets}, modulus=modulus)


@st.composite
def matrices(draw):
    """Up to 2 × 2 blocks; vectors as long as the longer of two periods, and folds from the input's to the output's."""
    source, target = (1 << draw(st.integers(0, 6)) for _ in range(2))
    shorter, longer = sorted((source, target))
    outputs, inputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    offsets = draw(st.sets(st.integers(-shorter // 2 + 1, shorter // 2), min_size=1, max_size=20).map(sorted))
    vectors = {
        (int(rng.integers(outputs)), int(rng.integers(inputs)), k): rng.integers(-9, 10, max(source, target)).astype(
            float
        )
        for k in offsets
    }
    folds = tuple(source >> n for n in range(1, (source // target).bit_length()))
    return DiagonalMatrix(outputs, inputs, longer, vectors, folds, shorter), source, rng


def dense_product(matrix, inputs):
    outputs = np.zeros((matrix.outputs, SLOTS))
    for (i, j, k), vector in matrix.vectors.items():
        outputs[i] += np.tile(vector, SLOTS // matrix.period) * np.roll(inputs[j], -k)
    for step in matrix.folds:
        outputs = outputs + np.roll(outputs, -step, axis=-1)
    return outputs


def run(transform, split, inputs):
    """The transform on clear slots, its inputs turned by the coarse steps as a circuit does."""
    backend = ClearEvaluator(SLOTS, [2, 2])
    values = []
    for row in inputs:
        turned = [backend.value(row, 1, 1.0)]
        for source, turn in split.turned_from:
            turned.append(backend.rotate(turned[source], turn))
        values += turned
    return np.stack([out.values for out in backend.linear_transform(values, transform)])


@given(offset_sets, st.sampled_from([0, SLOTS]))
def test_giant_coarse_and_baby_add_up_to_every_offset(offsets, modulus):
    for split in splits(of_offsets(offsets, modulus), SLOTS):
        assert set(split.parts) == set(offsets)
        for k, (chain, position, coarse, baby) in split.parts.items():
            assert (split.chains[chain][position] + split.coarse[coarse] + split.babies[baby] - k) % SLOTS == 0
        for steps in (split.babies, split.coarse):  # the nearest to zero comes first
            assert list(map(abs, steps)) == sorted(map(abs, steps))
            assert len(set(steps)) == len(steps)


@given(offset_sets)
def test_chains_run_one_way(offsets):
    """Up or down, no giant in two chains: Horner's rule turns one way only. Nested heads go away from zero."""
    for split in splits(of_offsets(offsets), SLOTS):
        assert all(split.chains)
        for chain in split.chains:
            assert list(chain) == sorted(set(chain), key=abs)
            assert min(chain) >= 0 or max(chain) <= 0
        assert len(set().union(*split.chains)) == sum(map(len, split.chains))
        if split.nested:
            heads = [chain[0] for chain in split.chains]
            assert heads[0] == 0
            assert len(set(np.diff(heads).tolist())) <= 1
            assert len(split.turns) <= 2
        else:
            assert len(split.chains) <= 2


@given(offset_sets)
def test_every_coarse_step_is_a_turn_of_one_before_it(offsets):
    for split in splits(of_offsets(offsets), SLOTS):
        reached = [0]
        for source, turn in split.turned_from:
            assert turn
            assert source < len(reached)
            reached.append(reached[source] + turn)
        assert tuple(reached) == split.coarse


@given(matrices())
@settings(max_examples=40)
def test_the_plan_of_every_split_equals_the_dense_product(case):
    """Around the period, too: another copy of the output does the work, or the input repeats."""
    matrix, period, rng = case
    inputs = np.tile(rng.integers(-9, 10, (matrix.inputs, period)).astype(float), SLOTS // period)
    expected = dense_product(matrix, inputs)
    for split in splits(matrix, SLOTS):
        scales = (1.0,) * matrix.inputs * len(split.coarse)
        transform = plan(matrix, split, level=1, plaintext_scales=scales, output_scale=1.0)
        assert np.array_equal(run(transform, split, inputs), expected)


@given(matrices())
def test_the_keys_of_a_split_and_the_folds_are_the_steps_of_its_plan(case):
    matrix, _, _ = case
    split = split_offsets(matrix, set(), SLOTS, RATES)
    scales = (1.0,) * matrix.inputs * len(split.coarse)
    transform = plan(matrix, split, level=1, plaintext_scales=scales, output_scale=1.0)
    steps = {step for step in (*transform.babies, *transform.giant_steps) if step}
    steps |= {turn for _, turn in split.turned_from}
    assert split.rotation_steps | set(matrix.folds) == steps


@given(matrices())
def test_a_key_that_exists_is_never_counted_again(case):
    """With all the keys of the first choice at hand, a second look chooses no split that needs a new one."""
    matrix, _, _ = case
    free = replace(RATES, key=1e9)
    first = split_offsets(matrix, set(), SLOTS, RATES).rotation_steps
    known = {step % SLOTS for step in first}
    assert {step % SLOTS for step in split_offsets(matrix, known, SLOTS, free).rotation_steps} <= known
