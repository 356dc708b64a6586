"""What a decision means, in sentences that a clinician reads: worked out by hand."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.temperature import Temperature
from heclstm.cli.connected import tell_diagnoses
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.case import Case
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import InputError
from heclstm.report.figure import draw
from heclstm.report.findings import Findings
from heclstm.report.page import page
from heclstm.report.words import chance, decision_of, meaning, rates, unusual
from heclstm.templates.language import speaking
from heclstm.templates.units import percent
from heclstm.usecases.diagnose import Diagnosed
from heclstm.usecases.each import Outcome
from tiny_program import PURPOSE

POINT = OperatingPoint(0.25, 0.95, 0.95, 0.5, 20, 80)
IMAGES = ImageSequence(np.random.default_rng(0).random((2, 1, 8, 8)).astype(np.float32))


def findings(score=1.5, temperature=1.0, offset=0.0, **changes):
    threshold = None if "undecided" in changes else 0.25
    diagnosis = Diagnosis((score,), ((score,), (0.0,)), threshold, "case 7", temperature, offset, **changes)
    purpose = structs.replace(PURPOSE, operating_points=(POINT,), preparation=None)
    return Findings(diagnosis, purpose, "ab" * 32)


@pytest.mark.parametrize(
    ("score", "offset", "words"),
    [
        (0.2, 1.3, "take this negative as uncertain"),  # negative at 81.8 %
        (0.3, -3.0, "it is reached by many who are negative"),  # positive at 6.3 %
        (0.2, -3.0, ""),
        (1.5, 0.0, ""),
    ],
)
def test_decision_and_probability_never_contradict_without_a_word(score, offset, words):
    found = findings(score, offset=offset)
    said = " ".join(meaning(found))
    assert (words in said) if words else "The probability of" not in said
    assert all(sentence in page(found, IMAGES) for sentence in meaning(found))
    if words:
        assert f"The probability of {100 * found.diagnosis.probability:.1f} %" in said
        assert "where 20 % were positive" in said


@pytest.mark.parametrize("how", ["csv", "json", "table"])
def test_no_table_shows_a_decision_without_what_must_be_said(how, capsys, monkeypatch):
    """A spreadsheet said negative, and 81.8 % beside it; of unusual images, nothing of the reason to decide."""
    monkeypatch.setenv("COLUMNS", "200")
    case = Case(
        program="ab" * 32, key="0" * 32, query="1" * 32, images="cd" * 32, frames=2,
        envelope="outside", outside=("grey levels is below 3",), override="a phantom",
    )  # fmt: skip
    of = {"plain": findings(), "contradicts": findings(0.2, offset=1.3), "wanted": replace(findings(), case=case)}
    outcomes = [Outcome(name, Diagnosed(found)) for name, found in of.items()]
    tell_diagnoses(outcomes, as_json=how == "json", as_csv=how == "csv")
    told = capsys.readouterr().out
    assert told.count("take this negative as uncertain") == 1
    assert told.count("It was wanted nevertheless: a phantom") == 1
    assert ("81.8" in told) or how != "table"
    if how == "csv":
        rows = {row["input"]: row for row in csv.DictReader(io.StringIO(told))}
        assert rows["plain"]["remarks"] == rows["wanted"]["probability"] == ""
        assert rows["contradicts"]["remarks"].startswith("The probability of 81.8 %")
    if how == "json":
        rows = {row["input"]: row for row in json.loads(told)["each"]}
        assert "remarks" not in rows["plain"]
        assert "probability" not in rows["wanted"]


def test_predictive_values_stand_beside_the_decision():
    negative = findings(0.2, offset=-3.0)
    assert "Where 20.0 % of patients are positive (as on validation), 97.6 % (" in meaning(negative)[0]
    assert "of those called negative are negative" in meaning(negative)[0]
    stated = meaning(negative, 0.02)[0]
    assert stated.startswith("Where 2.0 % of patients are positive (as stated), 99.8 % (")
    assert "of those called positive are positive" in meaning(findings())[0]
    assert "as stated" in page(negative, IMAGES, prevalence=0.02)


def test_a_probability_of_fewer_frames_is_told_to_be_one_of_whole_sequences():
    scale = Temperature(1.0, 0.0, positives=20, negatives=80)
    short = findings(frames=1)
    short = Findings(short.diagnosis, structs.replace(short.purpose, temperature=scale), "ab" * 32)
    sentence = "The probability was fitted on whole validation sequences; of 1 frame it may lie closer to the middle"
    assert sentence in " ".join(meaning(short))
    assert sentence in page(short, IMAGES)
    assert sentence not in " ".join(meaning(findings()))
    with speaking("de"):
        assert " ".join(meaning(short)).endswith(
            "Die Wahrscheinlichkeit wurde an ganzen Folgen der Validierung angepasst; bei 1 Bild liegt sie vielleicht "
            "näher an der Mitte, als sie sollte."
        )


def test_numbers_of_frames_that_cannot_be_assessed_are_told_in_german():
    points = tuple(OperatingPoint(0.0, frames=each) for each in (4, 8))
    short = findings(undecided="not assessable", frames=2)
    short = Findings(short.diagnosis, structs.replace(short.purpose, operating_points=points), "ab" * 32)
    assert "to tell positives from negatives with 4 or 8;" in meaning(short)[0]
    with speaking("de"):
        assert meaning(short)[0].startswith(
            "Mit 2 Bildern nicht beurteilbar. Nur mit 4 oder 8 Bildern ist nachgewiesen"
        )


def test_a_stated_prevalence_moves_the_probability_too():
    """Odds of 1 where 20 of 100 are positive, fitted there: a score four times as likely of a positive. Where 2 % are
    positive, its odds are 4 · 2/98."""
    scale = Temperature(1.0, 0.0, positives=20, negatives=80)
    found = findings(0.0)
    found = Findings(found.diagnosis, structs.replace(found.purpose, temperature=scale), "ab" * 32)
    assert chance(found) == 0.5
    assert chance(found, 0.2) == pytest.approx(0.5)
    assert chance(found, 0.02) == pytest.approx(4 * 2 / 98 / (1 + 4 * 2 / 98))
    assert "with such a score, where 2.0 % are" in page(found, IMAGES, prevalence=0.02)
    with pytest.raises(InputError, match="expected a share"):
        chance(found, 2.0)


def test_rates_have_intervals_and_say_who_chose_them():
    assert rates(POINT) == (
        "sensitivity 95.0 % (76.4 to 99.1), specificity 50.0 % (39.3 to 60.7); chosen by 20 positive sequences and 80 "
        "negative ones on validation"
    )
    assert "of 3 frames" in rates(structs.replace(POINT, frames=3))
    assert rates(OperatingPoint(0.0, 0.9, 0.9, 0.5)) == "sensitivity 90 %, specificity 50 % on validation data"
    assert rates(None) == rates(OperatingPoint(0.0)) == ""


@pytest.mark.parametrize("decision", ["no decision", "not assessable"])
def test_what_is_undecided_says_so_everywhere(decision):
    found = findings(temperature=None, undecided=decision)
    shown = page(found, IMAGES)
    assert f">{decision}<" in shown
    assert "operating point +" not in shown
    assert "reads as" not in shown
    assert len(meaning(found)) == 1
    assert meaning(found)[0].lower().startswith(decision)
    assert draw(found, IMAGES).startswith(b"\x89PNG")
    assert Findings.load(json.dumps(found.to_json()).encode()).diagnosis == found.diagnosis


def test_unusual_images_are_told_with_the_reason():
    case = Case(
        program="ab" * 32, key="0" * 32, query="1" * 32, images="cd" * 32, frames=2,
        envelope="outside", outside=("grey levels is below 3",), override="a <phantom>",
    )  # fmt: skip
    found = structs.replace(case, envelope="inside", outside=(), override="")
    assert unusual(Findings(findings().diagnosis, PURPOSE, "", case=found)) == ()
    told = unusual(Findings(findings().diagnosis, PURPOSE, "", case=case))
    assert "(grey levels is below 3)" in told[0]
    assert "a &lt;phantom&gt;" in page(Findings(findings().diagnosis, findings().purpose, "", case=case), IMAGES)


def test_without_a_reason_unusual_images_get_no_decision():
    case = Case(
        program="ab" * 32, key="0" * 32, query="1" * 32, images="cd" * 32, frames=2,
        envelope="outside", outside=("grey levels is below 3",),
    )  # fmt: skip
    diagnosis = findings().diagnosis.without_decision()
    found = Findings(diagnosis, findings().purpose, "", case=case)
    assert meaning(found) == ()  # the other reason for it, too few frames, is not this one
    assert unusual(found)[0].endswith("So no decision is made.")
    assert ">not assessable<" in page(found, IMAGES)


def test_padded_frames_are_no_pictures():
    padded = Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8, length="pad")
    purpose = structs.replace(PURPOSE, preparation=padded, operating_points=(structs.replace(POINT, frames=1),))
    found = Findings(Diagnosis((0.5,), ((0.5,), (0.0,)), 0.25, frames=1), purpose, "ab" * 32)
    other = ImageSequence(np.concatenate([IMAGES.frames[:1], 1 - IMAGES.frames[1:]]))
    assert draw(found, IMAGES) == draw(found, other)  # what pads is not drawn
    assert found.operating_point.frames == 1


@pytest.mark.parametrize(
    ("offset", "shown", "words"),
    [
        (-12.0, "< 0.1 %", "fewer than 1 % are positive"),
        (12.0, "> 99.9 %", "more than 99 % are positive"),
        (0.0, "81.8 %", "about 82 %"),
    ],
)
def test_no_probability_is_told_to_be_certain(offset, shown, words, capsys):
    """0.0 % and 100.0 % stood there for what is only unlikely, or likely."""
    found = findings(offset=offset)
    assert words in decision_of(found)[1]
    assert shown.replace("<", "&lt;").replace(">", "&gt;") in page(found, IMAGES)
    tell_diagnoses([Outcome("one", Diagnosed(found))], as_json=False, as_csv=False)
    assert shown in capsys.readouterr().out
    assert (percent(0.0), percent(1.0), percent(0.9995), percent(0.0004, 0)) == (
        "0.0 %",
        "100.0 %",
        "> 99.9 %",
        "< 1 %",
    )
