"""JSON Schemas of headers and diagnoses, for those who read them by other means than ours."""

import json

import pytest
from jsonschema import Draft202012Validator, ValidationError
from msgspec import structs

from heclstm.deploy.diagnosis import Diagnosis
from heclstm.report.findings import Findings, Stage, json_schema
from heclstm.storage.container import PREFIX, Header, Kind, header_schema
from tiny_program import PURPOSE

HEADERS = [
    Header(Kind.QUERY, "ab" * 32, "cd" * 16, (("input 0", 7), ("input 1", 9)), "ef" * 16),
    Header(Kind.EVALUATION_KEYS, "ab" * 32, "cd" * 16, (("relinearization", 1),), card={"parameters": "01" * 32}),
]
DIAGNOSIS = Diagnosis((1.5,), ((0.5,), (1.0,)), 0.25, "case 7", 0.75, -1.5)
FULL = Findings(
    structs.replace(DIAGNOSIS, frames=1),
    PURPOSE,
    "ab" * 32,
    truth=False,
    clear=structs.replace(DIAGNOSIS, temperature=None, offset=0.0),
    margins={"score": 1.5},
    stages=(Stage("encrypt", "hospital", 0.1, 123), Stage("decrypt", "hospital")),
    server_memory=10**10,
)


@pytest.mark.parametrize("schema", [header_schema(), json_schema()], ids=["header", "diagnosis"])
def test_they_are_schemas_and_plain_json(schema):
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.kind.title)
def test_written_headers_fit(header):
    Draft202012Validator(header_schema()).validate(json.loads(header.encode()[PREFIX.size :]))


@pytest.mark.parametrize(
    "changes",
    [{"kind": 3}, {"program": "x"}, {"key": None}, {"blobs": [["../a", 1]]}, {"blobs": [["a", -1]]}, {"more": 1}],
)
def test_other_headers_do_not(changes):
    header = json.loads(HEADERS[0].encode()[PREFIX.size :])
    with pytest.raises(ValidationError):
        Draft202012Validator(header_schema()).validate({**header, **changes})


@pytest.mark.parametrize("findings", [FULL, Findings(DIAGNOSIS, PURPOSE, "ab" * 32)], ids=["full", "bare"])
def test_written_diagnoses_fit(findings):
    Draft202012Validator(json_schema()).validate(json.loads(json.dumps(findings.to_json())))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"program": "x"},
        {"scores": []},
        {"scores": ["1"]},
        {"contributions": "none"},
        {"threshold": None},
        {"probability": 1.5},
        {"purpose": {"unknown": 1}},
        {"clear": {"scores": [1.0]}},
        {"margins": {"score": -1.0}},
        {"stages": [{"name": "a"}]},
        {"truth": 1},
        {"more": 1},
    ],
)
def test_other_diagnoses_do_not(changes):
    with pytest.raises(ValidationError):
        Draft202012Validator(json_schema()).validate({**FULL.to_json(), **changes})
