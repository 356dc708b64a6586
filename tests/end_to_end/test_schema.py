"""`heclstm schema`: one JSON object on stdout, which is a schema of what it names."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from heclstm.usecases.schema import SCHEMAS

SHIPPED = Path(__file__).parents[2] / "examples" / "adrenal" / "program" / "program.json"


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_prints_a_schema(call, name):
    code, stdout, stderr = call("schema", name)
    assert (code, stderr) == (0, "")
    schema = json.loads(stdout)
    assert json.loads(call("schema", name, "--json")[1]) == schema
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(json.loads(SHIPPED.read_text())) is (name == "program")


def test_an_unknown_name_is_told_the_known_ones(call):
    code, stdout, stderr = call("schema", "weights")
    assert (code, stdout) == (2, "")
    assert stderr == "heclstm: schema: got 'weights', expected one of program, header, diagnosis\n"
