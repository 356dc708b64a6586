"""Values of a data set by keyword. Absent and empty are None; what is there and cannot be read is refused or None, as
the name says. No error shows a value."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, MutableSequence
from typing import Any

from heclstm.data.dicom.library import tag_of
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError

Dataset = Any
LARGEST = 1e30  # of what greys are reckoned with: no device measures so much, and products stay finite
# What converting the bytes of an element can raise in pydicom.
UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, RecursionError, TypeError,
    ValueError, struct.error,
)  # fmt: skip


def text(dataset: Dataset, keyword: str) -> str:
    """The first value as text, "" where there is none or it cannot be read."""
    try:
        values = _values(dataset, keyword)
        return str(values[0]).strip() if values else ""
    except UNREADABLE:
        return ""


def whole_text(dataset: Dataset, keyword: str) -> str:
    """All values as one text: names and numbers of patients may hold what separates values."""
    try:
        return "\\".join(str(value).strip() for value in _values(dataset, keyword))
    except UNREADABLE:
        return ""


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values as text in capitals, () where they cannot be read."""
    try:
        return tuple(str(value).strip().upper() for value in _values(dataset, keyword))
    except UNREADABLE:
        return ()


def whole(dataset: Dataset, keyword: str) -> int | None:
    """The only value as a whole number, None where it is none."""
    try:
        values = _values(dataset, keyword)
        return int(values[0]) if len(values) == 1 and float(values[0]) == int(values[0]) else None
    except UNREADABLE:
        return None


def floats(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """All values as finite numbers, None where some are none."""
    try:
        numbers = tuple(float(value) for value in _values(dataset, keyword))
    except UNREADABLE:
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def required_whole(source: Source, dataset: Dataset, keyword: str, least: int = 0) -> int:
    """Raises FileFormatError unless there is a whole number of at least `least`."""
    value = whole(dataset, keyword)
    if value is None or value < least:
        raise FileFormatError(f"{source}: no image: {keyword} is no whole number of at least {least}")
    return value


def checked_floats(source: Source, dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values; () where the element is absent or empty. Raises FileFormatError where one is no number, or so large
    that greys cannot be reckoned with it.
    """
    if not given(dataset, keyword):
        return ()
    numbers = floats(dataset, keyword)
    if numbers is None:
        raise FileFormatError(f"{source}: no image: {keyword} holds something else than numbers")
    if max(map(abs, numbers)) > LARGEST:
        raise FileFormatError(f"{source}: no image: {keyword} holds a number above {LARGEST:g}, expected one of greys")
    return numbers


def given(dataset: Dataset, keyword: str) -> bool:
    """Whether an element is there and not empty."""
    try:
        return bool(_values(dataset, keyword))
    except UNREADABLE:
        return True  # something is there


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, none where it is absent."""
    return list(_sequence(dataset, keyword))


def groups(dataset: Dataset, frame: int, keyword: str) -> Iterator[Dataset]:
    """The items of a functional group that hold for a frame: its own before those that all frames share."""
    for name, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        holders = _sequence(dataset, name)
        if place < len(holders):
            yield from _sequence(holders[place], keyword)[:1]


def of_frame(dataset: Dataset, frame: int, group: str, keyword: str) -> Dataset:
    """The item or data set in which a frame finds an element: functional groups before the data set itself."""
    return next((item for item in groups(dataset, frame, group) if given(item, keyword)), dataset)


def _sequence(dataset: Dataset, keyword: str) -> Any:
    """The sequence itself: thousands of frames ask for one item each."""
    try:
        found = _get(dataset, keyword)
    except UNREADABLE:
        return ()
    return found if isinstance(found, MutableSequence) else ()


def _get(dataset: Dataset, keyword: str) -> Any:
    return dataset.get(keyword) if tag_of(keyword) in dataset else None


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    value = _get(dataset, keyword)
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if not isinstance(value, MutableSequence | tuple):  # a name of a person can be iterated too
        return [value]
    return [each for each in value if each is not None and str(each).strip() != ""]
