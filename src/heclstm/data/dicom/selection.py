"""Which series of a study, and what is done about writing in the pixels: a small table, the same for all patients.

series = 2                     the number in the list that a refusal shows
modality = ["US", "XC"]
description = "*colposcopy*"   * and ? stand for any text and any letter, whatever the case
body_part = ["CERVIX"]
frames = [2, 500]              at least, at most
burnt_in = "refuse"            files that say they hold writing: "refuse", "accept", or "mask"
mask = [[0, 0, 60, 1024]]      for "mask": top, left, bottom, right of what becomes black, in stored pixels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self

from heclstm.errors import FileFormatError
from heclstm.storage.settings import read_toml

BURNT_IN = ("refuse", "accept", "mask")
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Selection:
    """See the module. Raises FileFormatError where a rule is none."""

    series: int = 0
    modality: tuple[str, ...] = ()
    description: str = "*"
    body_part: tuple[str, ...] = ()
    frames: tuple[int, int] = (1, 1 << 31)
    burnt_in: str = "refuse"
    mask: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for name in ("modality", "body_part"):
            given = getattr(self, name)
            if not isinstance(given, list | tuple) or not all(isinstance(value, str) for value in given):
                raise _wrong(name, 'a list of texts, such as ["US"]')
            object.__setattr__(self, name, tuple(value.upper() for value in given))
        if type(self.series) is not int or self.series < 0:  # True is 1
            raise _wrong("series", "a whole number from 1")
        if not isinstance(self.description, str):
            raise _wrong("description", "a text")
        if not _whole(self.frames, 2) or not 1 <= self.frames[0] <= self.frames[1]:
            raise _wrong("frames", "two whole numbers, at least and at most")
        if self.burnt_in not in BURNT_IN:
            raise _wrong("burnt_in", f"one of {', '.join(BURNT_IN)}")
        for box in self.mask:
            if not _whole(box, 4) or min(box) < 0 or box[0] >= box[2] or box[1] >= box[3]:
                raise _wrong("mask", "boxes of top, left, bottom, right")
        if (self.burnt_in == "mask") != bool(self.mask):
            raise _wrong("mask", "boxes where burnt_in is mask, and none elsewhere")
        object.__setattr__(self, "frames", tuple(self.frames))
        object.__setattr__(self, "mask", tuple(tuple(box) for box in self.mask))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        known = [item.name for item in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise FileFormatError(f"selection: got {', '.join(unknown)}, expected some of {', '.join(known)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise FileFormatError("selection: a rule is of another kind than expected") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a TOML file."""
        return cls.of(read_toml(path, FileFormatError))

    def takes(self, modality: str, description: str, body_part: str, frames: int) -> bool:
        """Whether a series is meant, by all rules but its number."""
        return (
            (not self.modality or modality.upper() in self.modality)
            and (not self.body_part or body_part.upper() in self.body_part)
            and fnmatch(description.lower(), self.description.lower())
            and self.frames[0] <= frames <= self.frames[1]
        )


def _whole(values: Sequence[Any], count: int) -> bool:
    return len(values) == count and all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _wrong(name: str, expected: str) -> FileFormatError:
    return FileFormatError(f"selection: {name}: expected {expected}")
