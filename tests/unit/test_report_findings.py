"""Diagnosis files: what is saved is what is loaded, version 1 too, and nothing else."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from heclstm.card.operating_point import OperatingPoint
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import DigestError, FileFormatError
from heclstm.report.findings import Findings, Stage
from messages import sealed
from tiny_program import PURPOSE

OLD = Path(__file__).parents[1] / "golden" / "hospital_v1" / "diagnosis.json"
DIAGNOSIS = Diagnosis((1.5,), ((0.5,), (1.0,)), 0.25, "case 7", 0.75, -1.5)
BARE = Findings(DIAGNOSIS, PURPOSE, "ab" * 32)
FULL = Findings(
    structs.replace(DIAGNOSIS, frames=1, temperature=None, offset=0.0),
    structs.replace(PURPOSE, preparation=None),
    "ab" * 32,
    truth=False,
    clear=structs.replace(DIAGNOSIS, scores=(1.25,)),
    margins={"score": 1.5},
    stages=(Stage("encrypt", "hospital", 0.1, 123), Stage("decrypt", "hospital")),
    server_memory=10**10,
)


def changed(**changes):
    return sealed({**FULL.to_json(), **changes})


@pytest.mark.parametrize("findings", [BARE, FULL], ids=["bare", "full"])
def test_findings_survive_the_file(findings, tmp_path):
    findings.save(tmp_path / "d.json")
    assert (tmp_path / "d.json").stat().st_mode & 0o777 == 0o600
    assert Findings.load(tmp_path / "d.json") == findings
    assert Findings.load((tmp_path / "d.json").read_bytes()).to_json() == findings.to_json()
    assert FULL.error == 0.25
    assert Findings.load(tmp_path / "d.json").digested


def test_version_1_is_read():
    found = Findings.load(OLD)
    old = json.loads(OLD.read_text())
    assert found.diagnosis.scores == tuple(old["scores"])
    assert found.purpose.limit("score") == old["purpose"]["ranges"]["score"]["limit"]
    assert found.operating_point == OperatingPoint(0.25, 0.95, 0.96, 0.5, 22, 76)
    assert found.credit(True) == "Images: someone, ä. Licence: CC BY 4.0"
    assert (found.truth, found.error, found.server_memory) == (True, 0.0, 5)
    assert found.stages == (Stage("encrypt", "hospital", 0.1, 123),)
    assert found.to_json()["version"] == 3
    assert not found.digested


@pytest.mark.parametrize("change", [("case 7", "case 8"), ('"truth": false', '"truth": true'), ("123", "124")])
def test_a_diagnosis_that_was_changed_since_is_refused(tmp_path, change):
    path = tmp_path / "d.json"
    FULL.save(path)
    text = path.read_text()
    path.write_text(text.replace(*change))
    assert path.read_text() != text
    with pytest.raises(DigestError, match=r"d\.json: was changed since it was written"):
        Findings.load(path)


def test_only_earlier_releases_leave_out_the_digest():
    data = {name: value for name, value in FULL.to_json().items() if name != "digest"}
    with pytest.raises(DigestError, match="was changed"):
        Findings.load(json.dumps(data).encode())
    found = Findings.load(json.dumps({**data, "version": 2}).encode())
    assert (found, found.digested) == (FULL, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": "heclstm-model"},
            "is a 'heclstm-model' of version 3, expected 'heclstm-diagnosis' of version 1 to 3",
        ),
        ({"version": 4}, "of version 4, expected"),
        ({"scores": []}, "length >= 1"),
        ({"scores": ["1"]}, "Expected `float`, got `str`"),
        ({"scores": [True]}, "Expected `float`, got `bool`"),
        ({"scores": [10**39 * 10**300]}, "a number of 340 digits"),
        ({"scores": [1.1e9]}, "<= 1000000000"),
        ({"contributions": [[1.0, 2.0]]}, "are not those of its scores"),
        ({"contributions": "none"}, "Expected `array`, got `str`"),
        ({"frames": 9}, "more real frames than contributions"),
        ({"threshold": None}, "either an operating point, or why there is no decision"),
        ({"threshold": 9.0}, "its decision is not that of its score and operating point; it was altered"),
        ({"decision": "negative"}, "its decision is not that of its score"),
        ({"decision": "maybe"}, "its decision is not that of its score"),
        ({"name": "\x1b[2J"}, "without control characters"),
        ({"program": "x"}, "of 64 hex digits"),
        ({"temperature": 0}, "> 0"),
        ({"temperature": "nan"}, "Expected `float | null`"),
        ({"purpose": {"unknown": 1}}, "purpose: .*unknown field `unknown`"),
        ({"purpose": {"operating_points": [{"threshold": "a"}]}}, "purpose: Expected `float`"),
        ({"purpose": []}, "Expected `object`, got `array`"),
        ({"clear": {"scores": [1.0]}}, "clear: .*missing required field `contributions`"),
        ({"margins": {"score": -1.0}}, ">= 0"),
        ({"margins": [1.0]}, "Expected `object`"),
        ({"stages": [{"name": "a"}]}, "missing required field `who`"),
        ({"stages": [{"name": "a", "who": "\n"}]}, "without control characters"),
        ({"server_memory": 1.5}, "Expected `int | null`"),
        ({"truth": 1}, "Expected `bool | null`"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_a_file_that_says_anything_else_is_refused(changes, message):
    with pytest.raises(FileFormatError, match=message):
        Findings.load(changed(**changes))


@pytest.mark.parametrize(
    ("purpose", "message"),
    [
        ({"operating_point": {"threshold": 0.25, "sensitivity": "x"}}, "purpose: operating_point: Expected"),
        ({"ranges": {"score": {"max_abs": 1.0}}}, "purpose: .*missing required field `limit`"),
        ({"temperature": {"temperature": -1.0}}, "purpose: temperature: Expected"),
        ({"attribution": 7}, "purpose: Expected `str`, got `int`"),
        ({"model_digest": "x"}, "purpose: Expected `str` of 64 hex digits"),
        ({"unknown": 1}, "purpose: .*unknown field"),
    ],
)
def test_a_purpose_of_version_1_is_checked_too(purpose, message):
    data = {**json.loads(OLD.read_text()), "purpose": purpose}
    with pytest.raises(FileFormatError, match=message):
        Findings.load(json.dumps(data).encode())
