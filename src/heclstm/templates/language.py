"""The language that people are spoken to in: English as it stands in the code, or a catalogue of its sentences.

A catalogue is a file of gettext, `languages/de.po`, read as it is: there is no step that compiles it. A sentence that
it lacks stays English, and a test holds it to all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polib import POFile

LANGUAGES = {"en": "English", "de": "Deutsch"}
_DECIMAL_COMMA = {"de"}
_current: ContextVar[str] = ContextVar("language", default="en")


def language() -> str:
    """Its code, as `lang` of HTML wants it."""
    return _current.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Within the block, in this thread or task. code: one of LANGUAGES."""
    before = _current.set(code if code in LANGUAGES else "en")
    try:
        yield
    finally:
        _current.reset(before)


def gettext(text: str) -> str:
    return _catalogue(_current.get()).gettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    return _catalogue(_current.get()).ngettext(one, many, count)


def said(text: str, **values: object) -> str:
    """A sentence with its values, which stand in braces."""
    return gettext(text).format(**values)


def marked(text: str) -> str:
    """The text itself; a catalogue has it, and `gettext` is asked for it later."""
    return text


def decimal(text: str) -> str:
    """A number as it is written here."""
    return text.replace(".", ",") if _current.get() in _DECIMAL_COMMA else text


def catalogue_of(code: str) -> Iterator[tuple[str, str]]:
    """Sentences in the code, and what they are in this language. Those with a plural are not among them."""
    if code != "en":
        yield from ((each.msgid, each.msgstr) for each in _entries(code) if not each.msgid_plural)


@cache
def _catalogue(code: str) -> NullTranslations:
    return NullTranslations() if code == "en" else GNUTranslations(BytesIO(_entries(code).to_binary()))


@cache
def _entries(code: str) -> POFile:
    from polib import pofile

    found: POFile = pofile(files("heclstm.templates").joinpath(f"languages/{code}.po").read_text("utf-8"))
    return found
