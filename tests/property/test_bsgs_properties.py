"""Every way to split offsets into baby and giant steps gives the same map. Whole numbers make it exact."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heclstm.backend.clear import ClearEvaluator
from heclstm.compiler.bsgs import _split, _windows, plan, split_offsets
from heclstm.compiler.expressions import DiagonalMatrix

SLOTS = 64
offset_sets = st.sets(st.integers(-SLOTS // 2 + 1, SLOTS // 2), min_size=1, max_size=20).map(sorted)


@st.composite
def matrices(draw):
    """Up to 2 × 2 blocks, vectors of any period that divides the slots."""
    period = draw(st.sampled_from([1, 4, 16, 64]))
    outputs, inputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = {
        (int(rng.integers(outputs)), int(rng.integers(inputs)), k): rng.integers(-9, 10, period).astype(float)
        for k in draw(offset_sets)
    }
    folds = draw(st.sampled_from([(), (), (32,), (32, 16, 8)]))
    return DiagonalMatrix(outputs, inputs, period, vectors, folds), rng


def dense_product(matrix, inputs):
    outputs = np.zeros((matrix.outputs, SLOTS))
    for (i, j, k), vector in matrix.vectors.items():
        outputs[i] += np.tile(vector, SLOTS // matrix.period) * np.roll(inputs[j], -k)
    for step in matrix.folds:
        outputs = outputs + np.roll(outputs, -step, axis=-1)
    return outputs


@given(offset_sets)
def test_baby_and_giant_add_up_to_every_offset_for_every_window(offsets):
    for window in _windows(offsets, SLOTS):
        split = _split(offsets, window)
        assert set(split.parts) == set(offsets)
        for k, (chain, position, baby) in split.parts.items():
            assert split.chains[chain][position] + split.babies[baby] == k
        # babies lie in one window: max − min < window; the nearest to zero comes first
        assert max(split.babies) - min(split.babies) < window
        assert list(map(abs, split.babies)) == sorted(map(abs, split.babies))
        assert len(set(split.babies)) == len(split.babies)


@given(offset_sets)
def test_chains_run_away_from_zero(offsets):
    """One chain upwards from zero, one downwards, no giant in both: Horner's rule turns one way only."""
    for window in _windows(offsets, SLOTS):
        chains = _split(offsets, window).chains
        assert all(chains)
        assert len(chains) <= 2
        for chain in chains:
            assert list(chain) == sorted(set(chain), key=abs)
            assert len({giant >= 0 for giant in chain}) == 1
        assert len(set().union(*chains)) == sum(map(len, chains))
        assert all((after - before) % window == 0 for c in chains for before, after in zip(c, c[1:], strict=False))


@given(matrices())
@settings(max_examples=50)
def test_the_plan_of_every_window_equals_the_dense_product(case):
    matrix, rng = case
    inputs = rng.integers(-9, 10, (matrix.inputs, SLOTS)).astype(float)
    backend = ClearEvaluator(SLOTS, [2, 2])
    for window in _windows(matrix.offsets(), SLOTS):
        split = _split(matrix.offsets(), window)
        scales = (1.0,) * matrix.inputs
        transform = plan(matrix, split, level=1, plaintext_scales=scales, output_scale=1.0)
        values = [backend.value(row, 1, 1.0) for row in inputs]
        found = np.stack([out.values for out in backend.linear_transform(values, transform)])
        assert np.array_equal(found, dense_product(matrix, inputs))


@given(matrices())
def test_the_keys_of_a_split_and_the_folds_are_the_steps_of_its_plan(case):
    matrix, _ = case
    split = split_offsets(matrix, set(), SLOTS)
    transform = plan(matrix, split, level=1, plaintext_scales=(1.0,) * matrix.inputs, output_scale=1.0)
    steps = {step for step in (*transform.babies, *transform.giant_steps) if step}
    assert split.rotation_steps() | set(matrix.folds) == steps


@given(matrices())
def test_a_key_that_exists_is_never_counted_again(case):
    """With all the keys of the first choice at hand, a second look chooses no split that needs a new one."""
    matrix, _ = case
    first_keys = split_offsets(matrix, set(), SLOTS).rotation_steps()
    known = {step % SLOTS for step in first_keys}
    second_keys = split_offsets(matrix, known, SLOTS).rotation_steps()
    assert {step % SLOTS for step in second_keys} <= known
