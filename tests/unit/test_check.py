"""A valid program, spoilt in one place at a time: `check` finds it and says where."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from heclstm.circuit.check import check
from heclstm.circuit.operations import (
    Add,
    AddPlain,
    DropLevel,
    Input,
    LinearTransform,
    MultiplyPlain,
    Rescale,
    Rotate,
    SumOfProducts,
)
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import HeclstmError, LayoutError, LevelError, ParameterError, ScaleError
from random_models import random_model, small_config


@cache
def valid():
    """64 slots: two input ciphertexts. It holds an operation of every kind."""
    options = Options(ring_degree=64, special_count=2, security="INSECURE_TEST")
    lstm = {"gate_degree": 2, "cell_output": "cubic"}
    return compile_circuit(random_model(small_config(frames=2, channels=1, lstm=lstm), seed=0), options)


def spoilt(kind, change, which=0):
    """`valid()` with change(operation) in place of its operation of this kind number `which`."""
    program = valid()
    index = [n for n, op in enumerate(program.operations) if isinstance(op, kind)][which]
    operations = list(program.operations)
    operations[index] = change(operations[index])
    return replace(program, operations=tuple(operations))


def first_plan():
    return next(op.plan for op in valid().operations if isinstance(op, LinearTransform))


def with_plan(**changes):
    return lambda op: replace(op, plan=replace(op.plan, **changes))


def edited(array, place, value):
    copy = array.copy()
    copy[place] = value
    return copy


def test_a_compiled_program_is_valid_and_comes_back_unchanged():
    assert check(valid()) is valid()
    assert {type(op) for op in valid().operations} == {
        Input, LinearTransform, SumOfProducts, MultiplyPlain, AddPlain, Add, Rotate, Rescale, DropLevel,
    }  # fmt: skip


# ── values ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_that_is_read_before_it_is_defined():
    with pytest.raises(ParameterError, match=r"blocks\.\d.*: reads value 9999 before it is defined"):
        check(spoilt(Rotate, lambda op: replace(op, input=9999)))


def test_a_value_that_is_defined_twice():
    with pytest.raises(ParameterError, match="defines value 0 twice"):
        check(spoilt(Rotate, lambda op: replace(op, outputs=(0,))))


def test_a_result_that_is_never_defined():
    with pytest.raises(ParameterError, match="its result, value 9999, is never defined"):
        check(replace(valid(), result=9999))


def test_operations_in_another_order():
    with pytest.raises(ParameterError, match="before it is defined"):
        check(replace(valid(), operations=valid().operations[::-1]))


@pytest.mark.parametrize("number", [1, 3])
def test_a_wrong_number_of_inputs(number):
    """Its input layout has two ciphertexts; one is left out with all that reads it, or another one is read."""
    program = valid()
    first = program.operations[0]
    if number == 1:
        operations, result = (first,), first.outputs[0]
    else:
        operations, result = (*program.operations, replace(first, outputs=(9999,))), program.result
    with pytest.raises(LayoutError, match=f"reads {number} ciphertexts, its input layout has 2"):
        check(replace(program, operations=operations, result=result))


def test_an_operation_with_too_many_outputs():
    """Each kind but a linear transform defines one value; the interpreter would stop in the middle."""
    for kind in (Input, Rotate, Rescale, Add, SumOfProducts):
        with pytest.raises(HeclstmError, match="outputs"):
            check(spoilt(kind, lambda op: replace(op, outputs=(*op.outputs, 9999))))


def test_an_operation_of_an_unknown_kind():
    class Bootstrap(Rotate):
        pass

    program = valid()
    unknown = Bootstrap("refresh", (9999,), 3, 1.0, program.result, 1)
    with pytest.raises(ParameterError, match="refresh: unknown operation Bootstrap"):
        check(replace(program, operations=(*program.operations, unknown)))


# ── levels ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [LinearTransform, SumOfProducts, MultiplyPlain, AddPlain, Add, Rotate, Rescale])
def test_an_operation_at_another_level_than_its_operands(kind):
    with pytest.raises(LevelError, match=rf"{kind.__name__} reads level \d+ for level \d+"):
        check(spoilt(kind, lambda op: replace(op, level=op.level - 1), which=-2 if kind is Rescale else 0))


def test_levels_outside_of_the_chain():
    top = valid().parameters.max_level
    for level in (top + 1, 0, -1):
        with pytest.raises(LevelError, match=rf"input: at level {level}, expected 1 … {top}"):
            check(spoilt(Input, lambda op, level=level: replace(op, level=level)))


def test_a_drop_that_climbs():
    with pytest.raises(LevelError, match=r"DropLevel reads level \d+ for level \d+"):
        check(spoilt(DropLevel, lambda op: replace(op, level=valid().parameters.max_level)))


def test_a_plan_for_another_level():
    with pytest.raises(LevelError, match=r"its plan is for level 1, the operation at \d+"):
        check(spoilt(LinearTransform, with_plan(level=1)))


def test_inputs_at_different_levels():
    """The client encrypts all ciphertexts of a query at one level, the one that program.json names."""
    program = valid()
    top, scales = program.input_level, program.parameters.scales
    inputs = Input("input", (0,), top, scales[top]), Input("input", (1,), top - 1, scales[top - 1])
    with pytest.raises(LevelError, match=f"input: .*{top - 1}"):
        check(replace(program, operations=inputs, result=0))


# ── scales ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind", [Input, LinearTransform, SumOfProducts, MultiplyPlain, AddPlain, Add, Rotate, Rescale, DropLevel]
)
def test_a_scale_that_its_operands_do_not_give(kind):
    """2^-30 is far above the rounding of a few float64 factors, 2^-52 each, and below any useful precision."""
    with pytest.raises(ScaleError, match=rf"{kind.__name__} has scale 2\^\d+\.\d+, its operands give 2\^\d+"):
        check(spoilt(kind, lambda op: replace(op, scale=op.scale * (1 + 2.0**-30))))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_no_scale(scale):
    with pytest.raises(ScaleError, match="Rescale has scale"):
        check(spoilt(Rescale, lambda op: replace(op, scale=scale)))


def test_a_plaintext_scale_that_misses():
    with pytest.raises(ScaleError, match="MultiplyPlain"):
        check(spoilt(MultiplyPlain, lambda op: replace(op, plaintext_scale=op.plaintext_scale * 1.001)))
    with pytest.raises(ScaleError, match="LinearTransform"):
        check(spoilt(LinearTransform, with_plan(plaintext_scales=(1.001,) * first_plan().n_inputs)))


def test_the_output_scale_of_a_plan():
    """Backends set it on what a transform returns, so it must be the operation's."""
    with pytest.raises(ScaleError, match="blocks.0.convolution"):
        check(spoilt(LinearTransform, with_plan(output_scale=first_plan().output_scale * 1.001)))


# ── vectors and plans ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [0, 3, 256])
@pytest.mark.parametrize("kind", [MultiplyPlain, AddPlain])
def test_a_vector_that_does_not_repeat_in_the_slots(kind, length):
    with pytest.raises(LayoutError, match=rf"a vector of {length} values does not repeat in 64 slots"):
        check(spoilt(kind, lambda op: replace(op, vector=np.ones(length))))


@pytest.mark.parametrize("vector", [np.array(1.0), np.ones((2, 2))])
def test_a_vector_that_is_none(vector):
    with pytest.raises(LayoutError, match=rf"a vector of {vector.size} values does not repeat"):
        check(spoilt(AddPlain, lambda op: replace(op, vector=vector)))


@pytest.mark.parametrize("vectors", [np.array(1.0), np.ones(4), np.ones((2, 2, 2))])
def test_a_plan_whose_vectors_are_no_table(vectors):
    with pytest.raises(LayoutError, match="blocks.0.convolution"):
        check(spoilt(LinearTransform, with_plan(vectors=vectors)))


def test_the_vectors_of_a_plan_that_do_not_repeat():
    with pytest.raises(LayoutError, match="a vector of 3 values does not repeat in 64 slots"):
        check(spoilt(LinearTransform, with_plan(vectors=first_plan().vectors[:, :3])))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite(value):
    """Encoding one such value spoils all slots."""
    for kind in (MultiplyPlain, AddPlain):
        with pytest.raises(HeclstmError, match="finite"):
            check(spoilt(kind, lambda op: replace(op, vector=edited(op.vector, 0, value))))
    vectors = edited(first_plan().vectors, (0, 0), value)
    with pytest.raises(HeclstmError, match="finite"):
        check(spoilt(LinearTransform, with_plan(vectors=vectors)))


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("value", [-1, 1000])
def test_an_index_that_points_outside_of_the_plan(column, value):
    index = edited(first_plan().index, (0, column), value)
    with pytest.raises(LayoutError, match="blocks.0.convolution: the plan's index does not fit its steps"):
        check(spoilt(LinearTransform, with_plan(index=index)))


def test_an_index_behind_the_end_of_a_shorter_chain():
    index = edited(first_plan().index, (0, slice(1, 3)), (1, 50))
    with pytest.raises(LayoutError, match="points behind the end of a chain"):
        check(spoilt(LinearTransform, with_plan(chains=(tuple(range(100)), (-1,)), index=index)))


def test_an_index_with_another_number_of_rows():
    with pytest.raises(LayoutError, match="the plan's index does not fit"):
        check(spoilt(LinearTransform, with_plan(index=first_plan().index[1:])))


@pytest.mark.parametrize("changes", [{"n_inputs": 1}, {"n_outputs": 3}])
def test_a_plan_for_other_inputs_or_outputs(changes):
    with pytest.raises(LayoutError, match=r"its plan has \d+ inputs and \d+ outputs, not its own"):
        check(spoilt(LinearTransform, with_plan(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"chains": ()},
        {"chains": ((), (0,))},
        {"plaintext_scales": ()},
        {"plaintext_scales": (1.0, 1.0, 1.0)},
        {"babies": ()},
    ],
)
def test_a_plan_without_some_of_its_parts(changes):
    with pytest.raises(HeclstmError, match="blocks.0.convolution"):
        check(spoilt(LinearTransform, with_plan(**changes)))


def test_a_sum_of_no_products():
    with pytest.raises(HeclstmError, match="blocks.0.activation"):
        check(spoilt(SumOfProducts, lambda op: replace(op, pairs=())))


# ── layouts ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["input_layout", "result_layout"])
def test_layouts_of_other_slots(name):
    other = replace(getattr(valid(), name), slots=256)
    with pytest.raises(LayoutError, match="its layouts do not have the 64 slots of its parameters"):
        check(replace(valid(), **{name: other}))
