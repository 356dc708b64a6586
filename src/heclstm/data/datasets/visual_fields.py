"""Series of visual fields (24-2: 52 points in dB), one table of series that got worse and one of series that did not.

    folder/reliable.csv           person, eye, visit, vf.1 … vf.52      positive: progressing
    folder/stable_reliable.csv    the same columns                      negative: stable

Points stand on a grid of 8×9, 6° apart, from the top: rows of 4, 6, 8, 9 − 1, 9 − 1, 8, 6, 4 points; two places of the
rows of nine are the blind spot, where the grid is empty, as it is in its corners. Values are dB / `largest_db`, cut at
0 and 1. All series have the same visits, which are the frames in their order.

A person is never divided. What is counted is another question: an eye may stand in both tables, so that by eye or by
person every case would be positive; by default each series counts.

The Lions Eye Institute Structure-Function Dataset (2025) comes in this form: real series of 162 eyes of 114 persons,
from which stable and progressing ones were derived, with simulated noise. BSD-3-Clause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heclstm.data.datasets.files import listed
from heclstm.data.datasets.patients import PARTS, Splitting, split
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.manifest import Problems, Row, read_manifest
from heclstm.errors import FileFormatError, ModelError

HEIGHT, WIDTH = 8, 9
COLUMNS = ((3, 7), (2, 8), (1, 9), (0, 9), (0, 9), (1, 9), (2, 8), (3, 7))  # of each row: from, up to
BLIND = 7  # the column of the blind spot, in the two rows in the middle
POINTS = [f"vf.{number}" for number in range(1, 53)]
REMEDY = "a table of visual fields has the columns person, eye, visit, vf.1 … vf.52"
COUNTED = ("sequence", "eye", "person")


@dataclass(frozen=True)
class Options(Splitting):
    """positive, negative: the two tables. counted: what is a case in figures: each "sequence", "eye" or "person".
    largest_db: what becomes 1."""

    positive: str = "reliable.csv"
    negative: str = "stable_reliable.csv"
    counted: str = "sequence"
    largest_db: float = 40.0
    licence: str = "BSD-3-Clause"
    attribution: str = "Lions Eye Institute Structure-Function Dataset, 2025 (derived series, simulated noise)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.counted not in COUNTED:
            raise ModelError(f"data.counted: got {self.counted!r}, expected one of {', '.join(COUNTED)}")
        if not 0 < self.largest_db <= 1000:
            raise ModelError(f"data.largest_db: got {self.largest_db}, expected more than 0, at most 1000")


def load(path: Path, options: Options) -> Splits:
    """path: the folder of the two tables."""
    images, labels, persons, eyes, names = [], [], [], [], []
    for label, table in ((1, options.positive), (0, options.negative)):
        for (person, eye), rows in _series(path / table).items():
            images.append(_maps(rows, options.largest_db))
            labels.append(label)
            persons.append(person)
            eyes.append(f"{person} {eye}")
            names.append(f"{Path(table).stem} {person} {eye}")
    if len(lengths := {len(image) for image in images}) != 1:
        raise FileFormatError(f"{path}: got series of {listed(map(str, sorted(lengths)))} visits, expected one number")
    counted = {"sequence": names, "eye": eyes, "person": persons}[options.counted]
    places = np.array(split(persons, labels, options))

    def part(wanted: str) -> Part:
        rows = np.flatnonzero(places == wanted)
        chosen = ([values[row] for row in rows] for values in (counted, names, persons))
        patients, named, groups = map(tuple, chosen)
        pictures = np.stack(images)[rows]
        return Part(pictures, np.array(labels, np.int64)[rows], patients, named, groups=groups)

    note = f"{len(images)} series of {len(set(persons))} persons, who are not divided; each {options.counted} is a case"
    train, validation, test = map(part, PARTS)
    return Splits(train, validation, test, path.name, options.licence, options.attribution, (note,))


def grid() -> NDArray[np.intp]:
    """(52, 2): row and column of each point."""
    places = [(row, column) for row, (first, end) in enumerate(COLUMNS) for column in range(first, end)]
    middle = HEIGHT // 2
    return np.array([place for place in places if place not in ((middle - 1, BLIND), (middle, BLIND))])


def _series(table: Path) -> dict[tuple[str, str], list[Row]]:
    """(person, eye) → its visits in their order."""
    rows, problems = read_manifest(table, ["person", "eye", "visit", *POINTS], REMEDY), Problems(table)
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    visits: dict[tuple[str, str], set[float]] = defaultdict(set)
    for row in rows:
        key, visit = (row["person"], row["eye"]), row.number("visit")
        if visit is None or visit in visits[key]:
            problems.add(row, "visit", "another number for each visit of an eye")
        for point in POINTS:
            if row.number(point) is None:
                problems.add(row, point, "a finite number of dB")
        visits[key].add(visit or 0.0)
        found[key].append(row)
    problems.refuse()
    if not found:
        raise FileFormatError(f"{table}: got 0 visits, expected some; {REMEDY}")
    return {key: sorted(each, key=lambda row: row.number("visit") or 0.0) for key, each in found.items()}


def _maps(rows: Sequence[Row], largest_db: float) -> NDArray[np.float32]:
    """(visits, 1, 8, 9), zero where no point is."""
    values = np.array([[row.number(point) for point in POINTS] for row in rows], np.float32)
    place, maps = grid(), np.zeros((len(rows), 1, HEIGHT, WIDTH), np.float32)
    maps[:, 0, place[:, 0], place[:, 1]] = np.clip(values / np.float32(largest_db), 0, 1)
    return maps
