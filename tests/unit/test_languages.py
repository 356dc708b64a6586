"""Every sentence that people are told stands in every catalogue, with the same values in it."""

import re

import pytest
from msgspec import structs
from polib import pofile

from catalogue import deeper, sentences
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.ranges import Range
from heclstm.card.temperature import Temperature
from heclstm.card.warnings import derived
from heclstm.report.words import counted
from heclstm.templates.language import LANGUAGES, gettext, language, marked, ngettext, said, speaking
from heclstm.templates.retold import WORDS, retold, retold_note
from heclstm.templates.units import percent, seconds, signed, size
from import_graph import SOURCE
from tiny_program import PURPOSE

OTHERS = sorted(set(LANGUAGES) - {"en"})
VALUE = re.compile(r"\{\w+\}|%\(\w+\)s")


def entries(code):
    return pofile(str(SOURCE / f"heclstm/templates/languages/{code}.po"))


def asked():
    return {message.id if isinstance(message.id, tuple) else (message.id,) for message in sentences() if message.id}


@pytest.mark.parametrize("code", OTHERS)
def test_a_catalogue_has_every_sentence_and_no_other(code):
    there = {(each.msgid, each.msgid_plural) if each.msgid_plural else (each.msgid,) for each in entries(code)}
    below, told = ({(text,) for text in texts} for texts in deeper())
    assert sorted((asked() | told) - there) == []
    assert sorted(there - asked() - below) == []
    assert len(there) > 500


@pytest.mark.parametrize("code", OTHERS)
def test_every_sentence_is_translated_with_its_values(code):
    for each in entries(code):
        found = list(each.msgstr_plural.values()) if each.msgid_plural else [each.msgstr]
        for text in found:
            assert text.strip(), each.msgid
            assert sorted(VALUE.findall(text)) == sorted(VALUE.findall(each.msgid)), each.msgid
            assert text[:1].isspace() == each.msgid[:1].isspace(), each.msgid
        assert not each.fuzzy, each.msgid


def test_people_are_spoken_to_in_one_language_at_a_time():
    assert (language(), gettext("negative"), counted(2)) == ("en", "negative", "2 frames")
    with speaking("de"):
        assert (language(), gettext("negative"), counted(1)) == ("de", "negativ", "1 Bild")
        assert said("about {minutes} minutes left", minutes=3) == "noch etwa 3 Minuten"
        assert gettext("a sentence of nobody") == "a sentence of nobody"
        with speaking("no language"):
            assert gettext("negative") == "negative"
        assert language() == "de"
    assert ngettext("{frames} frame", "{frames} frames", 1) == "{frames} frame"
    assert marked("negative") == "negative"


def test_numbers_are_written_as_people_write_them():
    written = [signed(-1.5), percent(0.224), size(2_540_000), seconds(1.25)]
    assert written == ["−1.500", "22.4 %", "2.54 MB", "1.2 s"]
    with speaking("de"):
        assert [signed(-1.5), percent(0.224), size(2_540_000), seconds(1.25)] == [
            each.replace(".", ",") for each in written
        ]


@pytest.mark.parametrize("code", OTHERS)
def test_each_error_is_told_again_with_its_values_and_as_no_other(code):
    """A sentence with strange values, as errors have them, is recognised among all others."""
    below, _ = deeper()
    with speaking(code):
        for each in entries(code):
            if each.msgid not in below or not re.sub(r"\{\w+\}", "", each.msgid).strip(" :;,"):
                continue
            values = {name: f"</{name}:x>" for name in re.findall(r"\{(\w+)\}", each.msgid)}
            joined = re.search(r"\}\{", each.msgid)  # nobody knows where one of two neighbours ends
            if not joined and " " in each.msgid.strip():
                assert retold(each.msgid.format(**values)) == each.msgstr.format(**values), each.msgid
    assert {name for text in below for name in re.findall(r"\{(\w+)\}", text)} >= WORDS


def test_what_was_put_together_is_told_again_piece_by_piece():
    whole = (
        "set: 4 frames stand at 2 slice positions, so that several share one; give one volume or one time of them",
        "set: 4 Bilder liegen an 2 Schichtlagen, so dass sich mehrere eine teilen; geben Sie ein Volumen oder einen "
        "Zeitpunkt davon",
    )
    said_by_server = (
        "server: unauthorized: the token is unknown; the token is wrong, expired or revoked; ask the operator for a "
        "new one, then `heclstm connect`",
        "Server: unauthorized: the token is unknown; das Token ist falsch, abgelaufen oder widerrufen; bitten Sie den "
        "Betreiber um ein neues, dann richten Sie die Verbindung neu ein (`heclstm connect`)",
    )
    unusual = (
        "share of black is above 0.3; share of red is below 0.1",
        "Anteil von Schwarz liegt über 0.3; Anteil von Rot liegt unter 0.1",
    )
    many = ("share of black is above 0.3; and 2 more", "Anteil von Schwarz liegt über 0.3; und 2 weitere")
    short = (
        "not assessable: got 2 frames, expected 4 or 8; with others, the model was not found to tell positives "
        "from negatives",
        "nicht beurteilbar mit 2 Bildern; erwartet werden 4 oder 8. Mit anderen Anzahlen ist nicht "
        "nachgewiesen, dass das Modell Positive von Negativen unterscheidet",
    )
    with speaking("de"):
        for told, expected in (whole, said_by_server, unusual, many, short):
            assert retold(told) == expected
        assert retold("labels.csv: column age: expected years") == (
            "Diese Meldung gibt es nur auf Englisch: labels.csv: column age: expected years"
        )
        assert retold_note("something else") == "something else"
        assert retold("") == ""
        assert len(retold("a: " * 2000)) > 6000  # however deep, and soon
        assert len(retold("; " * 2000)) > 4000
    assert retold(whole[0]) == whole[0]


def test_warnings_of_a_model_hold_no_english():
    """Whatever its figures are, with one operating point or with some for numbers of frames."""
    found = []
    for numbers in ((None,), (4,), (4, 8)):
        for rates, count in (((1.0, 0.0), 22), ((0.5, 0.5), 22), ((1.0, 0.9), 5)):
            for threshold in (0.0, 9.0, -9.0):
                points = tuple(OperatingPoint(threshold, 0.95, *rates, count, 76, frames=each) for each in numbers)
                changed = structs.replace(PURPOSE, operating_points=points, temperature=Temperature(28.0))
                found += [derived(changed), derived(structs.replace(changed, ranges=()))]
    found.append(derived(structs.replace(PURPOSE, operating_points=(), ranges=(Range("score", 2000.0, 2500.0),))))
    english = {text for texts in found for text in texts}
    assert len(english) > 15
    with speaking("de"):
        german = {text: retold(text) for text in english}
    for text, told in german.items():
        for word in ("only in English", "nur auf Englisch", "The operating point", "validation", " or ", "Wert"):
            assert word not in told, text
    few = "The operating point was chosen by 5 positive patients on validation: too few to rely on its sensitivity."
    assert german[few] == (
        "Der Arbeitspunkt wurde an nur 5 positiven Patienten (Validierung) bestimmt: zu wenige, um sich auf seine "
        "Sensitivität zu verlassen."
    )
    chance = "The operating point for 4 or 8 frames was not found to decide better than chance (on validation)."
    assert german[chance].startswith("Der Arbeitspunkt für 4 oder 8 Bilder entschied nicht nachweislich besser")
