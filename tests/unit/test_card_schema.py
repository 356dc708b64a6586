"""The JSON Schema of program.json, for those who read it by other means than ours."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from msgspec import structs

from heclstm.card.program_card import Card
from heclstm.card.signature import new_pair, sign
from heclstm.program.public import json_schema, save_card
from tiny_program import tiny_program

SHIPPED = Path(__file__).parents[2] / "examples" / "adrenal" / "program" / "program.json"
SCHEMA = json_schema()


def test_it_is_a_schema_and_plain_json():
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert set(SCHEMA["$defs"]["Card"]["required"]) <= set(SCHEMA["$defs"]["Card"]["properties"])
    assert set(SCHEMA["$defs"]["Card"]["properties"]) == set(Card.__struct_fields__)


def test_what_is_written_fits_it(tmp_path):
    card = tiny_program().card
    signed = structs.replace(card, signature=sign(card.digest, new_pair().private))
    save_card(signed, tmp_path / "program.json")
    for path in (SHIPPED, tmp_path / "program.json"):
        Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), 1),
        (("digest",), "x"),
        (("more",), 1),
        (("card", "more"), 1),
        (("card", "model", "attribution"), "\x1b[2J"),
        (("card", "model", "attribution"), "x" * 4001),
        (("card", "model", "digest"), "ab"),
        (("card", "operating_points", 0, "threshold"), "high"),
        (("card", "operating_points", 0, "sensitivity"), 2),
        (("card", "ranges", 0, "limit"), -1),
        (("card", "preparation", "axis"), 3),
        (("card", "preparation", "width"), 10**9),
        (("card", "parameters", "moduli"), ["q"]),
        (("card", "keys", "rotations"), {"1": "high"}),
    ],
)
def test_what_is_refused_does_not_fit_it(place, value):
    data = json.loads(SHIPPED.read_text())
    target = data
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(data)
