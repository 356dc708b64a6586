"""Operations state all that is known of them: a new one is its file, and everything that reads circuits takes it."""

import json
from pathlib import Path

import pytest

from heclstm.circuit import operations
from heclstm.circuit.cost import UNITS
from heclstm.circuit.operations import OPERATIONS, LinearTransform, MultiplyPlain, Rotate, operation_from_json
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import FileFormatError
from random_models import random_model, small_config

TEST = Options(ring_degree=128, special_count=2, security="INSECURE_TEST")
NAMES = {"Input", "LinearTransform", "SumOfProducts", "MultiplyPlain", "AddPlain", "Add", "Rotate", "Rescale",
         "DropLevel"}  # fmt: skip


@pytest.fixture(scope="module")
def circuit():
    """It holds an operation of every kind."""
    lstm = {"gate_degree": 2, "cell_output": "cubic"}
    return compile_circuit(random_model(small_config(frames=2, channels=1, lstm=lstm), seed=0), TEST)


def test_the_names_that_files_hold_stay():
    assert set(OPERATIONS) >= NAMES


def test_every_file_is_an_operation_that_the_registry_knows():
    """But for what they are made with."""
    files = {path.stem for path in Path(operations.__file__).parent.glob("*.py")}
    modules = {kind.__module__.rpartition(".")[2] for kind in OPERATIONS.values()}
    assert files - modules == {"__init__", "base", "evaluator", "fields"}


def test_units_have_one_price_each():
    assert len(set(UNITS)) == len(UNITS)
    for kind in OPERATIONS.values():
        assert isinstance(kind.units, tuple)


def test_what_is_written_is_what_is_read(circuit):
    for operation in circuit.operations:
        arrays = []
        written = operation.to_json(arrays)
        read = operation_from_json(json.loads(json.dumps(written)), arrays)
        again = []
        assert type(read) is type(operation)
        assert read.to_json(again) == written
        assert all(a is b for a, b in zip(arrays, again, strict=True))


def first(circuit, kind):
    arrays = []
    return next(op for op in circuit.operations if isinstance(op, kind)).to_json(arrays), arrays


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (Rotate, {"operation": "Bootstrap"}, "unknown operation 'Bootstrap', expected one of .*'Rotate'"),
        (Rotate, {"operation": ["Rotate"]}, r"unknown operation \['Rotate'\]"),
        (Rotate, {"step": 1.0}, "Rotate.step: got a float, expected a int"),
        (Rotate, {"step": True}, "Rotate.step: got a bool, expected a int"),
        (Rotate, {"layer": 3}, "Rotate.layer: got a int, expected a str"),
        (Rotate, {"outputs": 3}, "Rotate.outputs: got a int, expected a list"),
        (Rotate, {"outputs": ["3"]}, "Rotate.outputs: got a str, expected a int"),
        (Rotate, {"scale": "1"}, "Rotate.scale: got a str, expected a float"),
        (Rotate, {"colour": 3}, "Rotate: colour: missing, or not known"),
        (MultiplyPlain, {"vector": [1.0]}, "MultiplyPlain.vector: expected the number of one of 1 arrays"),
        (MultiplyPlain, {"vector": {"array": 1}}, "MultiplyPlain.vector: expected the number of one of 1 arrays"),
        (MultiplyPlain, {"vector": {"array": -1}}, "MultiplyPlain.vector: expected the number of one of 1 arrays"),
        (LinearTransform, {"plan": None}, "got no TransformPlan where one is expected"),
        (LinearTransform, {"plan": {"operation": "LinearTransform"}}, "got no TransformPlan where one is expected"),
    ],
)
def test_fields_of_other_types_are_refused(circuit, kind, changes, message):
    """Files come from others: `True` is no step, and an array of pixels no index."""
    data, arrays = first(circuit, kind)
    with pytest.raises(FileFormatError, match=message):
        operation_from_json({**data, **changes}, arrays)


@pytest.mark.parametrize("name", ["layer", "outputs", "level", "scale", "input", "step"])
def test_missing_fields_are_refused(circuit, name):
    data, arrays = first(circuit, Rotate)
    del data[name]
    with pytest.raises(FileFormatError, match=f"Rotate: {name}: missing, or not known"):
        operation_from_json(data, arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chains": [["a"]]}, "TransformPlan.chains: got a str, expected a int"),
        ({"index": {"array": 1}}, "TransformPlan.index: got float64 values, expected int32"),
        ({"vectors": {"array": 0}}, "TransformPlan.vectors: got int32 values, expected float64"),
    ],
)
def test_plans_of_other_types_are_refused(circuit, changes, message):
    data, arrays = first(circuit, LinearTransform)
    with pytest.raises(FileFormatError, match=message):
        operation_from_json({**data, "plan": {**data["plan"], **changes}}, arrays)


def test_pairs_are_two(circuit):
    data, arrays = first(circuit, OPERATIONS["SumOfProducts"])
    with pytest.raises(FileFormatError, match="SumOfProducts.pairs: got a list, expected a list of 2"):
        operation_from_json({**data, "pairs": [[1, 2, 3]]}, arrays)
