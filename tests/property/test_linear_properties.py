"""A linear map between layouts equals the dense product, slot for slot. Whole numbers make it exact."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from heclstm.circuit.layout import VectorLayout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Linear, Sum, Trace
from heclstm.compiler.layouts import map_cost
from heclstm.compiler.linear import Entries, apply_linear, diagonals, fold_of
from heclstm.compiler.rates import Rates
from heclstm.errors import LayoutError
from random_layouts import frame_counts, layouts, result_layouts, slot_counts


def evaluate(trace, values):
    """The expressions by their definitions; values: of the sources, (slots,) each."""
    for expression in trace.expressions:
        match expression:
            case Linear():
                results = [np.zeros(trace.slots) for _ in expression.outputs]
                for (i, j, k), vector in expression.matrix.vectors.items():
                    turned = np.roll(values[expression.inputs[j]], -k)
                    results[i] = results[i] + np.tile(vector, trace.slots // len(vector)) * turned
                for step in expression.matrix.folds:
                    results = [total + np.roll(total, -step) for total in results]
            case Sum():
                results = [sum(values[term] for term in expression.terms)]
                if expression.constant is not None:
                    length = len(expression.constant)
                    results[0] = results[0] + np.tile(expression.constant, trace.slots // length)
        values.update(zip(expression.outputs, results, strict=True))
    return values


def whole_numbers(rng, shape, density=1.0):
    return rng.integers(-9, 10, shape) * (rng.random(shape) < density).astype(float)


@st.composite
def maps(draw):
    """Sources, targets of one period, random sparse blocks between some of them."""
    slots, frames = draw(slot_counts), draw(frame_counts)
    sources = draw(st.lists(layouts(slots, frames), min_size=1, max_size=2))
    target = draw(st.one_of(layouts(slots, frames), result_layouts(slots)))
    targets = [target] * draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.1, 0.5, 1.0]))
    dense = {
        (o, i): whole_numbers(rng, (target.frames * target.features, source.frames * source.features), density)
        for o in range(len(targets))
        for i, source in enumerate(sources)
        if len(sources) == 1 or rng.random() < 0.8
    }
    assume(dense)
    return sources, targets, dense, rng


@given(maps())
@settings(max_examples=150)
def test_a_map_between_layouts_equals_the_dense_product(case):
    """Also where the target is folded, in several ciphertexts, and with anything in unmapped slots."""
    sources, targets, dense, rng = case
    trace = Trace(sources[0].slots)
    values, packed_sources, tensors = {}, [], []
    for source in sources:
        tensor = whole_numbers(rng, (source.frames, source.features))
        packed = source.pack(tensor).reshape(-1, source.period)
        packed = packed + np.where(source.used(), 0.0, whole_numbers(rng, source.period))  # never read
        ciphertexts = packed.reshape(source.ciphertexts, source.slots)
        names = tuple(trace.source() for _ in ciphertexts)
        values.update(zip(names, ciphertexts, strict=True))
        packed_sources.append((names, source))
        tensors.append(tensor.ravel())
    trace.expressions.clear()  # the sources are given
    biases = [whole_numbers(rng, (target.frames, target.features)) for target in targets]
    blocks = {key: Entries.dense(matrix) for key, matrix in dense.items()}
    folds = {fold_of(sources[i], targets[o]) for o, i in dense}
    if len(folds) > 1:
        with pytest.raises(LayoutError, match="different rotate-and-adds .*lower them apart"):
            apply_linear(trace, packed_sources, list(zip(targets, biases, strict=True)), blocks)
        return
    results = apply_linear(trace, packed_sources, list(zip(targets, biases, strict=True)), blocks)
    evaluate(trace, values)
    for o, (target, names) in enumerate(zip(targets, results, strict=True)):
        expected = biases[o].ravel()
        for i, tensor in enumerate(tensors):
            if (o, i) in dense:
                expected = expected + dense[o, i] @ tensor
        expected = target.pack(expected.reshape(biases[o].shape))
        assert np.array_equal(np.stack([values[name] for name in names]), expected)


@given(maps())
def test_no_more_diagonals_than_the_shorter_period(case):
    """At most min(P, Q, slots) offsets, all within half of it; log2(P/Q) rotate-and-adds follow."""
    sources, targets, dense, _ = case
    for (o, i), matrix in dense.items():
        source, target = sources[i], targets[o]
        found = diagonals({(0, 0): Entries.dense(matrix)}, [source], [target])
        longer, shorter = min(source.period, source.slots), min(source.period, target.period, source.slots)
        offsets = found.offsets()
        assert len(offsets) <= shorter
        assert all(-shorter / 2 < k <= shorter / 2 for k in offsets)
        # folds: longer/2, longer/4, …, shorter
        assert found.folds == tuple(shorter << n for n in range((longer // shorter).bit_length() - 1))[::-1]


@given(st.data())
def test_a_map_of_every_frame_equals_its_dense_product(data):
    """per_frame, its shift (frame t reads t − shift) and its choice of frames, against a block matrix."""
    frames = data.draw(frame_counts)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    matrix = whole_numbers(rng, (rows, columns), 0.6)
    shift = data.draw(st.integers(0, frames - 1))
    targets = data.draw(st.none() | st.sets(st.integers(shift, frames - 1), min_size=1).map(sorted))
    entries = Entries.per_frame(sparse.csr_array(matrix), frames, shift=shift, targets=targets)
    dense = np.zeros((frames, rows, frames, columns))
    for t in range(shift, frames) if targets is None else targets:
        dense[t, :, t - shift] = matrix
    found = np.zeros((frames * rows, frames * columns))
    np.add.at(found, (entries.rows, entries.columns), entries.values)
    assert np.array_equal(found, dense.reshape(found.shape))
    assert (entries.values != 0).all()


@given(st.data())
@settings(max_examples=50)
def test_the_price_of_a_map_grows_with_its_diagonals_only(data):
    """`map_cost` reads frame 0; the diagonals of all frames are the same, so the price does not depend on T."""
    slots, rng = 4096, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    prices = set()
    rows, columns = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    matrix = sparse.csr_array(1.0 + whole_numbers(rng, (rows, columns)) ** 2)
    for frames in (1, 2, 4):
        affine = AffineMap("map", matrix, np.zeros(rows), (rows, 1, 1))
        source, target = VectorLayout(slots, frames, columns), VectorLayout(slots, frames, rows)
        found = diagonals({(0, 0): Entries.per_frame(matrix, frames)}, [source], [target])
        prices.add((map_cost(affine, source, target, Rates.at(17, 9, 6.0)), len(found.vectors)))
    assert len(prices) == 1
