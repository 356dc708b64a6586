"""A diagnosis as a DiagnosticReport: what stands in it, that it is FHIR, and that nothing is said that nobody knows."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec import structs

from command_line import call
from dicom_kit import save, uid
from heclstm.usecases.export import export
from report_kit import PATIENT, findings_of
from tiny_program import PURPOSE

__all__ = ["call"]
resources = pytest.importorskip(
    "fhir.resources.R4B.diagnosticreport", reason="fhir.resources comes with the extra heclstm[test]"
)
MADE = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
NOISE = np.random.default_rng(0).integers(0, 255, (2, 8, 8), dtype=np.uint8)
SNOMED = "http://snomed.info/sct"


def series(folder, **tags):
    for z in range(2):
        save(
            folder / f"{z}.dcm", NOISE[z], InstanceNumber=z + 1, SOPInstanceUID=uid((str(folder), z)), **PATIENT | tags
        )
    return folder


def fhir(folder, made=MADE, purpose=PURPOSE, **facts):
    """(what the file says, the same as the library's types understand it)."""
    content = export(*findings_of(folder, purpose, **facts), made, with_summary=False, with_fhir=True).fhir
    return json.loads(content), resources.DiagnosticReport.model_validate_json(content)


def contained(report):
    return {each["id"]: each for each in report["contained"]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return fhir(series(tmp_path_factory.mktemp("study")))


def test_it_is_fhir_and_loses_nothing_on_its_way_through_a_library(plain):
    said, understood = plain
    assert json.loads(understood.model_dump_json().replace("12:00:00Z", "12:00:00+00:00")) == said
    with pytest.raises(ValueError, match="extra|Extra"):
        resources.DiagnosticReport.model_validate(said | {"colour": "red"})


def test_what_was_found(plain):
    said, _ = plain
    found = contained(said)
    assert [each["reference"] for each in said["result"]] == ["#decision", "#score", "#probability"]
    assert {found[each]["device"]["reference"] for each in ("decision", "score", "probability")} == {"#device"}
    assert found["score"]["valueQuantity"]["value"] == pytest.approx(0.75)
    parts = {each["code"]["text"]: each["valueQuantity"]["value"] for each in found["score"]["component"]}
    assert parts == {
        "Score from which a sequence counts as positive": 0.25,
        "Contribution of frame 1 to the score": 0.25,
        "Contribution of frame 2 to the score": 0.5,
    }
    assert 0 < found["probability"]["valueQuantity"]["value"] < 1
    coded = {"coding": [{"system": SNOMED, "code": "10828004", "display": "Positive"}], "text": "Positive"}
    assert found["decision"]["valueCodeableConcept"] == coded
    assert said["conclusionCode"] == [coded]
    assert "reads these images as positive" in said["conclusion"]
    assert "not a medical device" in said["conclusion"]
    versions = {each["type"]["text"]: each["value"] for each in found["device"]["version"]}
    assert (versions["program"], versions["model"]) == ("ab" * 32, "ab" * 32)


def test_nobody_has_verified_it(plain):
    said, _ = plain
    assert said["status"] == "partial"
    assert {each.get("status", "preliminary") for each in said["contained"]} == {"preliminary"}


def test_patient_study_and_order_are_named_by_their_identifiers(plain):
    said, _ = plain
    for each in (said, contained(said)["score"]):
        assert each["subject"]["identifier"]["value"] == "4711-0815"
        assert each["subject"]["display"] == "Mustermann, Eva"
        assert each["effectiveDateTime"] == "2026-01-02"
    (study,), (order,) = said["imagingStudy"], said["basedOn"]
    assert study["identifier"] == {"system": "urn:dicom:uid", "value": f"urn:oid:{uid('study')}"}
    assert order["identifier"]["value"] == "ACC77"


def test_what_a_study_does_not_say_is_absent(tmp_path):
    said, _ = fhir(series(tmp_path / "s", **dict.fromkeys(PATIENT)))
    assert not {"subject", "basedOn", "effectiveDateTime"} & said.keys()
    said, _ = fhir(
        series(
            tmp_path / "t",
            PatientName="Yamada^Tarou=ヤマダ^タロウ",
            SpecificCharacterSet="ISO_IR 192",
            IssuerOfPatientID="Ward 3",
            StudyDate="",
        )
    )
    assert said["subject"]["display"] == "Yamada, Tarou"
    assert said["subject"]["identifier"]["assigner"] == {"display": "Ward 3"}
    assert "effectiveDateTime" not in said


NOWHERE = structs.replace(PURPOSE, operating_points=(), temperature=None)


@pytest.mark.parametrize(
    ("facts", "decision", "sentence"),
    [
        ({"envelope": "outside", "outside": ("brightness",)}, "Not assessable", "unlike those that the model was"),
        ({"purpose": NOWHERE}, "No decision", "says neither positive nor negative"),
    ],
    ids=["unlike those of training", "no operating point"],
)
def test_where_nothing_was_decided_it_says_so(tmp_path, facts, decision, sentence, monkeypatch):
    if "purpose" in facts:
        _without_a_point(monkeypatch)
    said, _ = fhir(series(tmp_path / "s"), **facts)
    found = contained(said)
    assert found["decision"]["valueCodeableConcept"] == {"text": decision}
    assert said["conclusionCode"] == [{"text": decision}]
    assert said["conclusion"].startswith(f"{decision}.\n")
    assert sentence in said["conclusion"]
    assert "probability" not in found
    assert "Score from which a sequence counts as positive" not in str(found["score"])


def _without_a_point(monkeypatch):
    """The same diagnosis of a program that has no operating point."""
    import report_kit

    made = report_kit.Diagnosis

    def undecided(score, shares, threshold, **facts):
        return made(score, shares, None, frames=facts["frames"], temperature=0.75, undecided="no decision")

    monkeypatch.setattr(report_kit, "Diagnosis", undecided)


def test_the_same_diagnosis_is_the_same_report_and_another_one_is_not(tmp_path):
    folder = series(tmp_path / "s")
    first, again = fhir(folder)[0], fhir(folder)[0]
    later = fhir(folder, MADE + timedelta(seconds=1))[0]
    assert first == again
    assert later["identifier"] != first["identifier"]
    assert first["identifier"][0]["value"].startswith("urn:oid:2.25.")


def test_times_have_their_zone(tmp_path):
    said, _ = fhir(series(tmp_path, TimezoneOffsetFromUTC="-0500"))
    assert said["issued"] == "2026-01-03T07:00:00-05:00"
    assert datetime.fromisoformat(said["issued"]) == MADE


def test_the_command_writes_it_where_it_is_wanted(call, tmp_path):
    findings, _ = findings_of(series(tmp_path / "s"))
    findings.save(tmp_path / "diagnosis.json")
    command = ("export", tmp_path / "diagnosis.json", "--input", tmp_path / "s", "-o", tmp_path / "out", "--no-summary")
    code, stdout, stderr = call(*command, "--fhir")
    assert code == 0, stderr
    path = tmp_path / "out" / "report.fhir.json"
    assert f"report: {path}" in stdout
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_bytes())["resourceType"] == "DiagnosticReport"


def test_what_was_noticed_of_the_images_is_said_and_numbers_are_whole(tmp_path):
    """Nobody sees them elsewhere, where a gateway works by itself. A backslash parts no medical record number."""
    notes = ("images may be missing: there are gaps", "windows differ", "b", "c", "d")
    said, _ = fhir(series(tmp_path / "s", PatientID="12\\34"), order="by position", notes=notes)
    assert "Frames stand by position." in said["conclusion"]
    for note in ("Images may be missing: there are gaps.", "Windows differ.", "D."):
        assert note in said["conclusion"]
    assert said["subject"]["identifier"]["value"] == "12\\34"
