"""What is seen of images before they are sent: every choice and every warning, without a server."""

import csv
import io
import re

import numpy as np
import pytest
from msgspec import structs

import dicom_kit
from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.operating_point import OperatingPoint
from heclstm.data.dicom import Selection
from heclstm.data.dicom.person import person_of
from heclstm.data.sources import Source
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.page.exports import sheet
from heclstm.page.records import Record, Records
from heclstm.page.rendering import render
from heclstm.report.findings import Findings
from heclstm.report.page import pictures
from heclstm.templates.language import LANGUAGES, speaking
from heclstm.usecases.spreadsheet import csv_of
from heclstm.usecases.study import examine
from tiny_program import PURPOSE, tiny_card, tiny_program

RECORD = Record(id="0" * 32, made="2026-01-31T10:00:00+00:00", patient="Doe <Jane>", problem="the last try <failed>")
NARROW = Envelope((Statistic("mean of the darkest frame", 2.0, 3.0),), 0.996, 300)


def series(folder, count=2, **tags):
    for number in range(count):
        frame = np.full((8, 8), 60, np.uint8)
        frame[number, :] = np.arange(8) * 20
        dicom_kit.save(folder / f"{number}.dcm", frame, **({"InstanceNumber": number + 1} | tags))
    return folder


def looked_at(found, language="en", record=RECORD, **values):
    real = pictures(found.images.sequence, PURPOSE) if found.images else []
    common = {
        "title": "Look", "nonce": "n", "ready": True, "languages": LANGUAGES, "alert": "", "record": record,
        "found": found, "frames": [{"picture": each} for each in real], "count": len(real), "lines": ["a <line>"],
        "values": {"patient": "<p>", "number": "", "study": "", "taken": ""}, "model": PURPOSE, "locked": False,
        "seen": "", "row": "", "may_start": found.images is not None and not found.undecidable,
    }  # fmt: skip
    with speaking(language):
        return render("look.html", **(common | values))


@pytest.fixture(scope="module")
def card():
    return tiny_program().card


def test_files_tell_whose_they_are_and_no_repr_does(tmp_path, card):
    tags = {"PatientName": "Doe^Jane^^Dr=x", "PatientID": "4711", "PatientBirthDate": "19800517", "PatientSex": "F"}
    found = examine([series(tmp_path, StudyDate="20260131", **tags)], card)
    person = found.person
    assert (person.name, person.id, person.birth, person.taken) == ("Doe, Jane, Dr", "4711", "1980-05-17", "2026-01-31")
    assert "Doe" not in repr(person) + repr(found)
    page = looked_at(found)
    assert "Doe, Jane, Dr" in page
    assert "the last try &lt;failed&gt;" in page
    assert "a &lt;line&gt;" in page


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")  # that is what is tried
@pytest.mark.parametrize("tags", [{"PatientName": None}, {"PatientBirthDate": "1980"}, {"StudyDate": "today"}])
def test_what_files_do_not_tell_stays_empty(tmp_path, tags):
    path = dicom_kit.save(tmp_path / "x.dcm", dicom_kit.flat(9), **tags)
    person = person_of(Source(path))
    assert (person.name, person.birth, person.taken) == ("", "", "")


def test_series_and_rows_are_choices(tmp_path, card):
    series(tmp_path / "a")
    series(tmp_path / "b", SeriesInstanceUID=dicom_kit.uid("b"), SeriesNumber=2, Modality="US")
    found = examine([tmp_path], card)
    assert (found.images, found.problem) == (None, "")
    assert [(each.number, each.frames) for each in found.series] == [(1, 2), (2, 2)]
    assert "There are several series" in looked_at(found)
    assert examine([tmp_path], card, selection=Selection(series=2)).images is not None

    np.save(tmp_path / "many.npy", np.full((3, 2, 1, 8, 8), 9, np.uint8))
    found = examine([tmp_path / "many.npy"], card)
    assert (found.images, found.rows, found.problem) == (None, 3, "")
    assert "The file holds 3 patients" in looked_at(found)
    chosen = examine([tmp_path / "many.npy"], card, row=2)
    page = looked_at(chosen, row=3)
    assert re.search(r'id="row"[^>]* value="3"', page)
    assert "stand in their order already" not in page  # which rows do anyway
    assert chosen.images.told()[0] == "frames stand as the array holds them"  # and not "0 frames of 0 arrays"
    assert "expected 0 to 2" in examine([tmp_path / "many.npy"], card, row=9).problem


def test_writing_in_the_pixels_must_be_looked_at(tmp_path, card):
    series(tmp_path, BurnedInAnnotation="YES")
    found = examine([tmp_path], card)
    assert found.burnt_in
    assert "writing is burnt into" in found.problem
    assert "I have looked" in looked_at(found)
    assert examine([tmp_path], card, selection=Selection(burnt_in="accept")).images is not None


def test_what_is_no_image_is_told(tmp_path, card):
    (tmp_path / "letter.txt").write_text("Dear")
    assert "no image" in examine([tmp_path], card).problem


def test_unusual_images_ask_for_a_reason(tmp_path):
    found = examine([series(tmp_path)], tiny_card(envelope=NARROW))
    assert found.outside
    page = looked_at(found, record=structs.replace(RECORD, override="a <phantom>"))
    assert "unlike those that the model was trained on" in page
    assert 'value="a &lt;phantom&gt;"' in page


def test_too_few_frames_are_not_sent(tmp_path):
    points = (OperatingPoint(0.25, 0.95, 0.96, 0.5, 22, 76, frames=1),)
    found = examine([series(tmp_path)], tiny_card(operating_points=points))
    assert "not assessable" in found.undecidable
    page = looked_at(found)
    assert "not assessable" in page
    assert "/start" not in page


def test_all_of_it_speaks_german(tmp_path, card):
    found = examine([series(tmp_path)], card)
    page = looked_at(found, "de", locked=True)
    assert '<html lang="de">' in page
    assert "Was diesen Rechner verlässt" in page
    assert "Geheimen Schlüssel entsperren" in page


def test_no_cell_is_a_formula():
    rows = [{"a": "=cmd()", "b": 1.5, "c": "left out"}, {"a": "@x, y", "b": None}]
    assert csv_of(rows, ["a", "b"]) == "a,b\r\n'=cmd(),1.5\r\n\"'@x, y\",\r\n"


def test_study_and_day_are_those_of_the_series_that_is_meant(tmp_path, card):
    """Two visits in one folder: nobody knows yet which is meant, and then it is known."""
    for number, day in ((1, "20240131"), (2, "20260131")):
        tags = {"SeriesNumber": number, "SeriesInstanceUID": f"1.2.{number}", "StudyInstanceUID": f"1.3.{number}"}
        series(tmp_path / str(number), StudyDate=day, **tags)
    assert examine([tmp_path], card).person.taken == ""
    chosen = examine([tmp_path], card, selection=Selection.of({"series": 2}))
    assert chosen.person.taken == "2026-01-31", chosen.problem


def test_a_sheet_of_results_says_what_belongs_beside_a_decision(tmp_path):
    """Negative, and a probability of 82 %: the page explains it, and the spreadsheet did not."""
    records = Records(tmp_path)
    purpose = structs.replace(PURPOSE, operating_points=(OperatingPoint(0.25, 0.95, 0.95, 0.5, 20, 80),))
    id = records.new().id
    records.done(id, Findings(Diagnosis((0.2,), ((0.1,), (0.1,)), 0.25, "", 1.0, 1.3), purpose, "ab" * 32))
    (row,) = csv.DictReader(io.StringIO(sheet([records.get(id)]).body.decode()))
    assert (row["decision"], row["probability"][:4]) == ("negative", "0.81")
    assert "take this negative as uncertain" in row["remark"]
    for language, words in (("en", 'negative <span class="muted">(with remarks)'), ("de", "(mit Bemerkungen)")):
        with speaking(language):
            common = {"title": "", "nonce": "n", "ready": True, "languages": LANGUAGES, "alert": "", "words": ""}
            page = render("history.html", records_found=[records.get(id)], count=1, more=False, **common)
            assert words in page


def test_two_results_side_by_side_say_what_belongs_beside_a_decision(tmp_path):
    side = {
        "record": RECORD, "side": "lowers", "decision": "negative", "score": 0.2, "point": 0.25, "chance": 0.81,
        "remarks": ("take this negative as <uncertain>",), "frames": {"tiles": []},
    }  # fmt: skip
    common = {"title": "", "nonce": "n", "ready": True, "languages": LANGUAGES, "alert": "", "warnings": []}
    assert "<p>take this negative as &lt;uncertain&gt;</p>" in render("compare.html", sides=[side], **common)
