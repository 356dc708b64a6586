"""Levels and scales: written down from the end, exact on every level, and refused when there are too few."""

import numpy as np
import pytest

from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor
from heclstm.circuit.check import check
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.layout import ResultLayout, VectorLayout
from heclstm.circuit.operations import (
    AddPlain,
    DropLevel,
    Input,
    LinearTransform,
    MultiplyPlain,
    Rescale,
    SumOfProducts,
)
from heclstm.circuit.parameters import LEVEL_MIN, choose
from heclstm.compiler.expressions import DiagonalMatrix, Trace
from heclstm.compiler.levels import depth_of, manage_levels, required_levels, shortest_period
from heclstm.errors import LevelError

SLOTS = 16


def parameters_for(depth):
    return choose(depth, slots_min=1, ring_degree=SLOTS, special_count=2, security="INSECURE_TEST")


def compiled(trace, output, spare=0):
    """A checked program of one input; spare: levels that its parameters have too many."""
    parameters = parameters_for(depth_of(trace, output) + spare)
    operations, result, parameters = manage_levels(trace, output, parameters)
    layouts = VectorLayout(SLOTS, 1, SLOTS), ResultLayout(SLOTS, 1, 1, SLOTS - 1)
    return check(Circuit(parameters, *layouts, tuple(operations), result))


def run(program, x):
    backend = ClearEvaluator(SLOTS, program.parameters.moduli)
    level = program.input_level
    value = backend.value(x, level, program.parameters.scales[level])
    seen = []
    result = Executor(program, backend).run([value], lambda op, outputs: seen.append((op, outputs)))
    for op, outputs in seen:  # the levels and scales that a backend keeps are those that the program says
        assert all(out.level == op.level for out in outputs)
        assert all(abs(out.scale / op.scale - 1) < 2.0**-40 for out in outputs)
    return result.values


def kinds(program):
    return [type(op) for op in program.operations]


def power(trace, x, exponent):
    """x^(2^exponent), `exponent` levels down."""
    for _ in range(exponent):
        x = trace.products(pairs=[(x, x)])
    return x


X = np.linspace(-1.5, 1.5, SLOTS)


@pytest.mark.parametrize("down", range(6))
def test_a_value_is_brought_down_beside_a_deeper_one(down):
    """x^(2^d) + x: x drops to one above, is multiplied by one at the scale that lands, and is rescaled."""
    trace = Trace(SLOTS)
    x = trace.source()
    output = trace.sum(power(trace, x, down), x)
    program = compiled(trace, output)
    # 2^-52 for each of 2^down factors, of values up to 1.5^32
    tolerance = 2.0**-52 * 2**down * 1.5 ** (2**down)
    assert np.abs(run(program, X) - (X ** (2**down) + X)).max() <= tolerance
    assert kinds(program).count(DropLevel) == (1 if down > 1 else 0)
    assert kinds(program).count(MultiplyPlain) == (1 if down else 0)


def test_a_value_is_brought_down_once_for_all_its_readers():
    trace = Trace(SLOTS)
    x = trace.source()
    deep = power(trace, x, 3)
    output = trace.sum(trace.sum(deep, x), trace.sum(deep, x))
    assert kinds(compiled(trace, output)).count(MultiplyPlain) == 1


def test_linear_maps_and_plain_products_take_a_value_at_any_scale():
    """A drop alone: their plaintext's scale is chosen so that the rescale lands on the level's scale."""
    trace = Trace(SLOTS)
    x = trace.source()
    deep = power(trace, x, 3)
    turned = trace.linear((x,), DiagonalMatrix(1, 1, 1, {(0, 0, 1): np.array([2.0])}))[0]
    scaled = trace.products(plains=[(x, np.array([3.0, 0.0]))])
    program = compiled(trace, trace.sum(deep, turned, scaled))
    expected = X**8 + 2 * np.roll(X, -1) + X * np.tile([3.0, 0.0], SLOTS // 2)
    assert np.abs(run(program, X) - expected).max() <= 2.0**-52 * 8 * 1.5**8
    assert kinds(program).count(MultiplyPlain) == 1  # no product by one
    assert kinds(program).count(DropLevel) == 1  # shared


def test_plain_and_encrypted_products_are_rescaled_as_one_sum():
    trace = Trace(SLOTS)
    x = trace.source()
    output = trace.products(pairs=[(x, x), (x, x)], plains=[(x, np.array([5.0]))])
    program = compiled(trace, output)
    assert np.abs(run(program, X) - (2 * X**2 + 5 * X)).max() <= 2.0**-52 * 4 * 15
    assert kinds(program).count(Rescale) == kinds(program).count(SumOfProducts) == 1


def test_work_beside_the_critical_path_is_done_where_it_is_cheap():
    """A map whose result is needed at the end runs at the lowest level that its readers allow."""
    trace = Trace(SLOTS)
    x = trace.source()
    side = trace.linear((x,), DiagonalMatrix(1, 1, 1, {(0, 0, 0): np.ones(1)}))[0]
    program = compiled(trace, trace.sum(power(trace, x, 4), side))
    (transform,) = (op for op in program.operations if isinstance(op, LinearTransform))
    assert transform.level == LEVEL_MIN + 1


def test_what_nothing_reads_is_not_computed():
    trace = Trace(SLOTS)
    x = trace.source()
    power(trace, x, 5)
    output = trace.products(pairs=[(x, x)])
    assert depth_of(trace, output) == 1
    assert kinds(compiled(trace, output)) == [Input, SumOfProducts, Rescale]


def test_a_result_leaves_at_the_base_level_and_a_query_starts_no_higher_than_needed():
    trace = Trace(SLOTS)
    x = trace.source()
    output = power(trace, x, 2)
    assert required_levels(trace, output) == {x: LEVEL_MIN + 2, output - 1: LEVEL_MIN + 1, output: LEVEL_MIN}
    program = compiled(trace, output, spare=3)
    assert (program.input_level, program.result_level) == (LEVEL_MIN + 2, LEVEL_MIN)


def test_too_few_levels_say_how_many_and_what_to_change():
    trace = Trace(SLOTS)
    output = power(trace, trace.source(), 5)
    with pytest.raises(LevelError, match="needs 6 levels but its parameters have 4; shorten the sequence"):
        manage_levels(trace, output, parameters_for(3))


def test_a_sum_of_no_products_is_refused():
    trace = Trace(SLOTS)
    trace.layer = "vote"
    trace.source()
    with pytest.raises(LevelError, match="vote: a sum of no products"):
        manage_levels(trace, trace.products(), parameters_for(1))


def test_a_constant_is_added_after_the_terms():
    trace = Trace(SLOTS)
    x = trace.source()
    program = compiled(trace, trace.sum(x, x, constant=np.arange(4.0)))
    assert np.array_equal(run(program, X), 2 * X + np.tile(np.arange(4.0), 4))
    assert kinds(program)[-1] is AddPlain


@pytest.mark.parametrize(
    ("vector", "shortest"),
    [([1, 2, 1, 2], [1, 2]), ([1, 1, 1, 1], [1]), ([1, 2, 2, 1], [1, 2, 2, 1]), ([0, 0], [0]), ([3], [3])],
)
def test_vectors_are_kept_at_their_shortest_period(vector, shortest):
    assert shortest_period(np.array(vector)).tolist() == shortest
