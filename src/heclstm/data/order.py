"""In which order frames stand, and why: one rule for training and for serving, whatever the images come from.

The first of these that is known of all frames, and that no two share, decides:

    by seconds of the manifest, by order of the manifest
    by slice position along the normal      DICOM: ImagePositionPatient · (row direction × column direction)
    by dimension index                      DICOM: enhanced multi-frame objects
    by acquisition time, by trigger time
    by instance number                      and inside of a file the order of its frames
    by names                                pictures: numbers by value, frame-9 before frame-10

Nothing is guessed: what none of them decides is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from heclstm.data.sources import some
from heclstm.errors import SequenceError

REMEDY = "give a manifest with seconds or order, or the files in their order with --as-given"
# SOB_M_DC-14-2523-40-001: BreaKHis, where the magnification and the number differ at once.
BREAKHIS = re.compile(r"SOB_([BM])_(A|F|PT|TA|DC|LC|MC|PC)-(\d+)-(\d+)([A-Z]*)-(40|100|200|400)-(\d+)", re.IGNORECASE)
# 2024-01-31 23-59-59, 20240131_235959: the year first, so that it can be read as one number.
MOMENT = re.compile(
    r"(?<![0-9])((?:19|20)[0-9]{2})([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12][0-9]|3[01])"
    r"(?:[-_ T.]?([01][0-9]|2[0-3])([-_.:]?)([0-5][0-9])\6([0-5][0-9]))?(?![0-9])"
)
# The ways in which a number in a name can be meant: 1.5 as 1 and 5 or as one and a half, -30 after a hyphen or a minus.
READINGS = (
    r"[0-9]+",
    r"[0-9]+(?:[.,][0-9]+)?",
    r"(?:(?<![^ _=(])-)?[0-9]+",
    r"(?:(?<![^ _=(])-)?[0-9]+(?:[.,][0-9]+)?",
)
# Numbers that mean another order than their value, if all names have one: 31122024 and 12312024, also with years of two
# digits, and hours of which the twelfth is the first.
DAY, MONTH, YEAR = "(0[1-9]|[12][0-9]|3[01])", "(0[1-9]|1[0-2])", "((?:19|20)?[0-9]{2})"
MEANT = (
    (re.compile(f"(?<![0-9]){DAY}{MONTH}{YEAR}(?![0-9])"), r"\3\2\1"),
    (re.compile(f"(?<![0-9]){MONTH}{DAY}{YEAR}(?![0-9])"), r"\3\1\2"),
    (re.compile(r"(?<![0-9])(?:12|([0-9]{1,2}))(?=([-_.:][0-9]{2})* ?[ap]\.?m(?![a-z]))", re.IGNORECASE), r"0\1"),
)
COUNTER_GAP = 8000  # a camera counts to 9999 and begins anew: numbers of four digits with such a gap between them


@dataclass(frozen=True)
class Order:
    """rows: what was handed in, first to last. reason: the rule in words. notes: what speaks against it."""

    rows: tuple[int, ...]
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Rule:
    """reason: "by …". keys: one for each frame, None where nothing is known of it."""

    reason: str
    keys: Sequence[Any]

    @property
    def decides(self) -> bool:
        return all(key is not None for key in self.keys) and len(set(self.keys)) == len(self.keys)


def decide(rules: Iterable[Rule], where: str, undecided: str) -> Order:
    """The order by the first rule that decides. Raises SequenceError with `undecided` where none does."""
    for rule in rules:
        if rule.decides:
            return Order(tuple(sorted(range(len(rule.keys)), key=rule.keys.__getitem__)), rule.reason)
    raise SequenceError(f"{where}: {undecided}")


def by_names(names: Sequence[str], where: str) -> Order:
    """The order of pictures by their names, without endings.

    All names must be of one form and differ in numbers: frame-9, frame-10. Where several numbers differ, or a
    number can be read in several ways, all of them must give the same order. Raises SequenceError.
    """
    if len(names) == 1:
        return Order((0,), "one picture")
    stems = [MOMENT.sub(_one_number, re.sub(r"\.[A-Za-z]+$", "", name)) for name in names]
    listed = f": {some(sorted(names))}; {REMEDY}"
    if slides := [match for stem in stems if (match := BREAKHIS.fullmatch(stem))]:
        keys = [(int(match[6]), int(match[7])) for match in slides]
        if len(slides) < len(names) or len({match[0].upper().rsplit("-", 2)[0] for match in slides}) > 1:
            raise SequenceError(f"{where}: the names are of several slides{listed}")
        return decide([Rule("by magnification and number", keys)], where, f"two names are of one place{listed}")
    if len({re.sub("[0-9]+", "0", stem).casefold() for stem in stems}) > 1:
        raise SequenceError(f"{where}: the names are of different forms, and fix no order{listed}")
    numbers = [[_numbers(reading, stem) for stem in stems] for reading in READINGS]
    order = decide([Rule("by names", numbers[0])], where, f"the names differ in no number, and fix no order{listed}")
    for pattern, meant in MEANT:
        if all(map(pattern.search, stems)):
            numbers.append([_numbers(READINGS[0], pattern.sub(meant, stem)) for stem in stems])
    for reading in numbers:
        for column in zip(*(reading[row] for row in order.rows), strict=True):
            if any(first > second for first, second in pairwise(column)):
                raise SequenceError(f"{where}: the numbers in the names can be read in several orders{listed}")
    digits = [re.findall("[0-9]+", stem) for stem in stems]
    for texts, column in zip(zip(*digits, strict=True), zip(*numbers[0], strict=True), strict=True):
        if all(len(text) == 4 for text in texts) and widest(column) > COUNTER_GAP:
            raise SequenceError(f"{where}: the names may be of a counter that began anew{listed}")
    return order


def widest(numbers: Sequence[Fraction]) -> Fraction:
    """The widest gap between neighbours."""
    return max(second - first for first, second in pairwise(sorted(numbers)))


def _one_number(moment: re.Match[str]) -> str:
    return "".join(part for part in moment.group(1, 3, 4, 5, 7, 8) if part)


def _numbers(reading: str, stem: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(text.replace(",", ".")) for text in re.findall(reading, stem))


def by_values(values: Sequence[float], reason: str, where: str) -> Order:
    """The order of numbers that somebody wrote down. Raises SequenceError where two are the same."""
    return decide([Rule(reason, values)], where, f"two frames have the same place {reason}")
