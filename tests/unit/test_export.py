"""A diagnosis as DICOM: what stands in the report, whose it is, and that a validator of others finds no error in it."""

import json
import shutil
import subprocess
import warnings
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
from msgspec import structs
from pydicom import dcmread

from command_line import call
from dicom_kit import save, uid
from heclstm.card.preparation import Preparation
from heclstm.data.handed_in import read_handed_in
from heclstm.errors import DigestError, FileFormatError, InputError
from heclstm.usecases.events import Silent
from heclstm.usecases.export import export
from report_kit import PATIENT, findings_of
from tiny_program import PURPOSE

__all__ = ["call"]
MADE = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


NOISE = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)
TALL = structs.replace(PURPOSE, preparation=Preparation("volume", (4, 8, 8), 2, 2, 8, 8, axis=0, slices_per_frame=2))
SAMPLED = structs.replace(
    PURPOSE, preparation=Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8, resize="stretch", length="sample")
)


def series(folder, count=2, **tags):
    """Slices whose names stand in another order than their numbers."""
    for z in range(count):
        save(folder / f"{(z * 7 + 3) % 11}.dcm", NOISE[z], InstanceNumber=z + 1, SOPInstanceUID=uid((str(folder), z)),
             **(PATIENT | tags))  # fmt: skip
    return folder


def clip(folder, **tags):
    save(folder / "clip.dcm", NOISE, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", FrameTime=40, **(PATIENT | tags))
    return folder


def exported(folder, purpose=PURPOSE, with_summary=False, **facts):
    made = export(*findings_of(folder, purpose, **facts), MADE, with_summary=with_summary)
    return made, *(dcmread(BytesIO(content)) for content in made.files.values())


def walk(node):
    """(meaning, item) of each item of a content tree."""
    for child in node.get("ContentSequence", ()):
        yield child.ConceptNameCodeSequence[0].CodeMeaning, child
        yield from walk(child)


def values(report, meaning):
    return [child for name, child in walk(report) if name == meaning]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return exported(series(tmp_path_factory.mktemp("study")), with_summary=True)


def test_the_report_says_what_was_found_and_by_what(plain):
    _, report, _ = plain
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (score,) = values(report, "Score")
    assert score.MeasuredValueSequence[0].NumericValue == pytest.approx(0.75)
    (point,) = values(report, "Score from which a sequence counts as positive")
    assert point.MeasuredValueSequence[0].NumericValue == pytest.approx(0.25)
    (probability,) = values(report, "Calibrated probability of a positive")
    assert 0 < probability.MeasuredValueSequence[0].NumericValue < 1
    (decision,) = values(report, "Decision at the operating point")
    assert decision.ConceptCodeSequence[0].CodeValue == "10828004"  # SNOMED CT: positive
    said = {child.TextValue for child in values(report, "Algorithm Parameters")}
    assert said == {f"program {'ab' * 32}", f"model {'ab' * 32}"}
    assert {child.TextValue for child in values(report, "Algorithm Name")} == {"example"}
    assert any("not a medical device" in child.TextValue for child in values(report, "Comment"))
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip


def shares(report):
    """What each step saw and contributed: ([(instance, frames)], contribution)."""
    found = []
    for name, group in walk(report):
        if name == "Measurement Group":
            inside = [child for child in group.ContentSequence if child.ValueType == "NUM"]
            if inside[0].ConceptNameCodeSequence[0].CodeValue != "contribution":
                continue
            images = [child.ReferencedSOPSequence[0] for child in group.ContentSequence if child.ValueType == "IMAGE"]
            seen = [(each.ReferencedSOPInstanceUID, each.get("ReferencedFrameNumber")) for each in images]
            found.append((seen, float(inside[0].MeasuredValueSequence[0].NumericValue)))
    return found


def test_each_contribution_names_the_frames_that_it_is_of(tmp_path):
    """Single images in the order of their numbers; sampled frames of a clip; slices that became channels."""
    _, report = exported(series(tmp_path / "images"))
    instances = [uid((str(tmp_path / "images"), z)) for z in range(4)]
    assert shares(report) == [([(instances[0], None)], 0.25), ([(instances[1], None)], 0.5)]

    _, report = exported(clip(tmp_path / "clip"), SAMPLED)
    (instance,) = {seen[0][0] for seen, _ in shares(report)}
    assert [(seen[0][1], share) for seen, share in shares(report)] == [(1, 0.25), (5, 0.5)]
    assert instance == dcmread(tmp_path / "clip" / "clip.dcm").SOPInstanceUID

    _, report = exported(series(tmp_path / "slices", 4), TALL)
    instances = [uid((str(tmp_path / "slices"), z)) for z in range(4)]
    assert [[each for each, _ in seen] for seen, _ in shares(report)] == [instances[:2], instances[2:]]


def test_patient_and_study_are_those_of_the_source(plain, tmp_path):
    _, report, summary = plain
    for made in (report, summary):
        for keyword, value in PATIENT.items():
            assert str(made[keyword].value) == value, keyword
        assert made.StudyInstanceUID == uid("study")
        assert made.SeriesInstanceUID != uid("series")
    assert report.SeriesInstanceUID != summary.SeriesInstanceUID
    assert (summary.BurnedInAnnotation, summary.Modality) == ("YES", "OT")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == uid("study")
    assert len(evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence) == 2


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Äneas^Jörg"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎")]
)
def test_names_of_any_script_stay_as_they_are(tmp_path, charset, name):
    _, report, summary = exported(
        series(tmp_path / "s", SpecificCharacterSet=charset, PatientName=name), with_summary=True
    )
    assert str(report.PatientName) == str(summary.PatientName) == name
    assert report.SpecificCharacterSet == "ISO_IR 192"


SOURCES = {
    "images": lambda folder: (series(folder), PURPOSE),
    "clip": lambda folder: (clip(folder), SAMPLED),
    "slices": lambda folder: (series(folder, 4), TALL),
    "says little": lambda folder: (series(folder, **dict.fromkeys(PATIENT)), PURPOSE),
    "says odd things": lambda folder: (series(folder, PatientSex="N", StudyDate="", AccessionNumber=""), PURPOSE),
    "two issuers": lambda folder: (series(folder, IssuerOfPatientID="Ward 3", StudyDescription="Kolposkopie"), PURPOSE),
}
FACTS = {
    "inside": {},
    "withheld": {"envelope": "outside", "outside": ("brightness",)},
    "overridden": {"envelope": "outside", "outside": ("brightness",), "override": "a known scanner"},
}


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy is absent: apt-get install dicom3tools")
@pytest.mark.parametrize(
    ("source", "facts"), [*((source, "inside") for source in SOURCES), ("clip", "withheld"), ("slices", "overridden")]
)
def test_dciodvfy_finds_no_error(tmp_path, source, facts):
    folder, purpose = SOURCES[source](tmp_path / "in")
    drawn = (source, facts) in (("images", "inside"), ("clip", "withheld"), ("says little", "inside"))
    made = export(*findings_of(folder, purpose, **FACTS[facts]), MADE, with_summary=drawn)
    for path in made.save(tmp_path / "out"):
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        assert "Error" not in told.stderr, told.stderr


def test_no_decision_and_no_probability_about_images_unlike_those_of_training(tmp_path):
    _, report = exported(series(tmp_path / "s"), **FACTS["withheld"])
    (decision,) = values(report, "Decision at the operating point")
    assert decision.ConceptCodeSequence[0].CodeMeaning == "Not assessable"
    assert not values(report, "Calibrated probability of a positive")
    assert any("unlike those that the model was trained on" in child.TextValue for child in values(report, "Comment"))


def test_the_same_diagnosis_is_the_same_object_and_another_one_is_not(tmp_path, plain):
    findings, images = findings_of(series(tmp_path / "s"))
    first, again = export(findings, images, MADE), export(findings, images, MADE)
    assert first.files == again.files
    later = export(findings, images, MADE + timedelta(seconds=1), with_summary=False)
    assert dcmread(BytesIO(later.report)).SOPInstanceUID != dcmread(BytesIO(first.report)).SOPInstanceUID


def test_the_command_writes_both_or_says_why_not(call, tmp_path):
    findings, _ = findings_of(series(tmp_path / "s"))
    findings.save(tmp_path / "diagnosis.json")
    command = ("export", tmp_path / "diagnosis.json", "-o", tmp_path / "out")
    code, stdout, stderr = call(*command, "--input", tmp_path / "s", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["files"] == [str(tmp_path / "out" / name) for name in ("report.dcm", "summary.dcm")]
    first = (tmp_path / "out" / "report.dcm").read_bytes()
    assert call(*command, "--input", tmp_path / "s", "--no-summary")[0] == 0
    assert (tmp_path / "out" / "report.dcm").read_bytes() == first
    code, _, stderr = call(*command, "--input", clip(tmp_path / "clip"))
    assert code == 2
    assert "expected 2" in stderr


def test_files_are_for_their_owner_alone(plain, tmp_path):
    made, _, _ = plain
    paths = made.save(tmp_path / "out")
    assert [path.name for path in paths] == ["report.dcm", "summary.dcm"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


def test_other_images_and_what_names_no_study_are_refused(tmp_path):
    findings, images = findings_of(series(tmp_path / "s"))
    other = read_handed_in(series(tmp_path / "t", PixelSpacing=[1, 1]), PURPOSE.preparation)
    assert other.sequence.frames.tolist() == images.sequence.frames.tolist()  # the pixels are what counts
    save(tmp_path / "t" / "3.dcm", NOISE[3], InstanceNumber=1, SOPInstanceUID=uid((str(tmp_path / "t"), 0)), **PATIENT)
    changed = read_handed_in(tmp_path / "t", PURPOSE.preparation)
    with pytest.raises(DigestError, match="are not the images that were encrypted"):
        export(findings, changed)
    np.save(tmp_path / "a.npy", images.sequence.frames)
    arrays = read_handed_in(tmp_path / "a.npy", PURPOSE.preparation)
    with pytest.raises(InputError, match="holds arrays, and not DICOM files"):
        export(findings, arrays)
    with pytest.raises(FileFormatError, match="has no case"):
        export(type(findings)(findings.diagnosis, findings.purpose, findings.program), images)
    findings, images = findings_of(series(tmp_path / "u", StudyInstanceUID=None))
    with pytest.raises(FileFormatError, match="says no StudyInstanceUID"):
        export(findings, images)


def test_nothing_of_the_patient_stands_in_a_refusal(tmp_path):
    path = tmp_path / "t"
    with warnings.catch_warnings(action="ignore"):
        findings, images = findings_of(series(path, StudyDate="20269999", PatientBirthDate="Mustermann", StudyTime="X"))
    with pytest.raises(FileFormatError, match="cannot be made of what the headers") as refusal:
        export(findings, images, MADE, with_summary=False)
    assert not any(value in str(refusal.value) for value in ("Mustermann", "4711", "20269999"))


def test_times_are_in_the_zone_of_the_study(tmp_path):
    _, report, picture = exported(series(tmp_path, TimezoneOffsetFromUTC="-0500"), with_summary=True)
    assert {(each.ContentTime, each.TimezoneOffsetFromUTC) for each in (report, picture)} == {("070000", "-0500")}


def test_the_scanner_contributed_when_it_did(tmp_path):
    _, report = exported(series(tmp_path, Manufacturer="M", AcquisitionDateTime="20260101080000"))
    first, *_, last = report.ContributingEquipmentSequence
    assert str(first.ContributionDateTime).startswith("20260101080000")
    assert str(last.ContributionDateTime).startswith("20260103")


def test_files_that_were_not_encrypted_are_told(tmp_path):
    """They show the same images, and may name another patient."""
    findings, images = findings_of(series(tmp_path), files=("0" * 64,))
    told = Told()
    export(findings, images, MADE, events=told)
    assert [text.partition(",")[0] for text in told.notes] == ["note: 2 of 2 files are not those that were encrypted"]
