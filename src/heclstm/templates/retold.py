"""What was said in English, deep inside or by another machine, told again in the reader's language.

Errors and notes are put together where they arise, which knows no reader. A catalogue has them as the code has them,
with their values in braces, and a text is recognised by what stands between its values. So a problem that was written
down is told in the language of whoever reads it later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from heclstm.templates.language import catalogue_of, gettext, language, ngettext, said

LITERAL_MIN = 8  # letters beside its values, by which a sentence is told from others
DEEP_MAX = 8
NUMBERS, FRAMES = re.compile(r"\d+(?: or \d+)+"), re.compile(r"(\d+) frames?")
WORDS = frozenset({"kind", "chosen_on", "word"})  # values that are one word, and no name of anything


def retold(text: str) -> str:
    """The text in the reader's language; after a sentence that says so, where the catalogue lacks it."""
    if language() == "en" or not text:
        return text
    found = _retold(text, 0)
    return said("This message is in English only: {message}", message=text) if found is None else found


def retold_note(text: str) -> str:
    """As `retold`, of what is no error: what the catalogue lacks stays as it is."""
    return text if language() == "en" else _retold(text, 0) or text


@dataclass(frozen=True)
class _Sentence:
    """parts: what stands before, between and after its values. names: of the values, one fewer."""

    parts: tuple[str, ...]
    names: tuple[str, ...]
    translation: str

    @classmethod
    def of(cls, sentence: str, translation: str) -> _Sentence:
        pieces = re.split(r"\{(\w+)\}", sentence)
        return cls(tuple(pieces[::2]), tuple(pieces[1::2]), translation)

    @property
    def weight(self) -> int:
        return sum(map(len, self.parts))

    def values(self, text: str) -> dict[str, str] | None:
        """By their names; None if the text is another sentence. Values are as short as they can be."""
        first, *between, last = self.parts
        if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
            return None
        end, place, found = len(text) - len(last), len(first), []
        for part in between:
            there = text.find(part, place, end)
            if there < 0:
                return None
            found.append(text[place:there])
            place = there + len(part)
        return dict(zip(self.names, [*found, text[place:end]], strict=True))


def _retold(text: str, deep: int) -> str | None:
    """None if the catalogue has neither it, nor the sentences that it was put together from."""
    if deep > DEEP_MAX:
        return None
    if NUMBERS.fullmatch(text):
        return text.replace(" or ", gettext(" or "))
    plain, sentences = _sentences(language())
    if " " in text and text in plain:
        return plain[text]
    for each in sentences:
        if (values := each.values(text)) is not None:
            return each.translation.format(**{name: _value(name, value, deep) for name, value in values.items()})
    for sign in ("; ", ": "):
        first, found, rest = text.partition(sign)
        if found:
            ahead, behind = _retold(first, deep + 1), _retold(rest, deep + 1)
            if ahead is not None or behind is not None:
                return f"{ahead or first}{sign}{behind or rest}"
    return None


def _value(name: str, text: str, deep: int) -> str:
    if name in WORDS and (found := _sentences(language())[0].get(text)):
        return found
    if name == "counted" and (frames := FRAMES.fullmatch(text)):
        return ngettext("{frames} frame", "{frames} frames", int(frames[1])).format(frames=frames[1])
    return _retold(text, deep + 1) or text


@cache
def _sentences(code: str) -> tuple[dict[str, str], list[_Sentence]]:
    """Those without values, and those with, the longest first."""
    found = dict(catalogue_of(code))
    made = [_Sentence.of(sentence, translation) for sentence, translation in found.items() if "{" in sentence]
    useful = [each for each in made if each.weight >= LITERAL_MIN]
    return found, sorted(useful, key=lambda each: -each.weight)
