"""Every sentence that people are told stands in every catalogue, with the same values in it."""

import re

import pytest
from polib import pofile

from catalogue import sentences
from heclstm.report.words import counted
from heclstm.templates.language import LANGUAGES, gettext, language, marked, ngettext, said, speaking
from heclstm.templates.units import percent, seconds, signed, size
from import_graph import SOURCE

OTHERS = sorted(set(LANGUAGES) - {"en"})
VALUE = re.compile(r"\{\w+\}|%\(\w+\)s")


def entries(code):
    return pofile(str(SOURCE / f"heclstm/templates/languages/{code}.po"))


def asked():
    return {message.id if isinstance(message.id, tuple) else (message.id,) for message in sentences() if message.id}


@pytest.mark.parametrize("code", OTHERS)
def test_a_catalogue_has_every_sentence_and_no_other(code):
    there = {(each.msgid, each.msgid_plural) if each.msgid_plural else (each.msgid,) for each in entries(code)}
    assert sorted(asked() - there) == []
    assert sorted(there - asked()) == []
    assert len(there) > 200


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
