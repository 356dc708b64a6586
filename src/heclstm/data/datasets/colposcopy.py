"""Colposcopy series after acetic acid, described by a manifest: one line for each picture.

    sequence,patient,seconds,file,label
    s01,p01,0,p01/before.jpg,1
    s01,p01,60,p01/after-60s.jpg,1
    s02,p02,0,p02/a.png,0

sequence    pictures with the same name form a sequence, in the order of `seconds` (or `order`); any number of them
patient     never divided between training, validation and test
file        relative to the manifest
label       1 for disease, 0 for none, the same in all lines of a sequence; with `positive_from`, a grade of at least 0
split       optional: train, validation or test
same_as     optional: another patient name under which the same person was registered
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heclstm.data.datasets.files import Entry, FileOptions, assemble, part_named
from heclstm.data.datasets.patients import PARTS
from heclstm.data.datasets.splits import Splits
from heclstm.data.manifest import (
    Problems,
    Row,
    label_of,
    order_of,
    read_manifest,
    require_one_spelling,
    require_one_value,
)
from heclstm.errors import ModelError

REMEDY = "a manifest has the columns sequence, patient, file, label, and order or seconds"


@dataclass(frozen=True)
class Options(FileOptions):
    """label: the column that holds labels. positive_from: of grades, a number of at least this is positive; -1 where
    labels are 0 and 1 already."""

    label: str = "label"
    positive_from: float = -1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positive_from < 0 and self.positive_from != -1:
            raise ModelError(f"data.positive_from: got {self.positive_from}, expected -1, or a grade of at least 0")


def load(path: Path, options: Options) -> Splits:
    """path: the manifest, or the folder that holds it as manifest.csv."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    label = options.label.lower()
    rows = read_manifest(manifest, ("sequence", "patient", "file", label), REMEDY)
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["sequence"]].append(row)
    problems = Problems(manifest)
    require_one_spelling(rows, "sequence", problems)
    require_one_spelling([*rows, *_aliases(rows)], "patient", problems)
    entries = [_entry(name, group, label, options, problems) for name, group in groups.items()]
    problems.refuse()
    same = [(row["patient"], row["same_as"]) for row in rows if row["same_as"]]
    notes = _merged(rows, label, entries, options)
    return assemble(manifest.parent.name or "colposcopy", entries, options, same=same, notes=notes)


def _aliases(rows: Sequence[Row]) -> list[Row]:
    return [Row(row.path, row.line, {"patient": row["same_as"]}) for row in rows if row["same_as"]]


def _entry(name: str, rows: list[Row], label: str, options: Options, problems: Problems) -> Entry:
    order = order_of(rows, problems)
    for column in ("patient", label, "split", "group"):
        require_one_value(rows, column, problems)
    grades = None if options.positive_from < 0 else options.positive_from
    labels = [label_of(row, label, problems, grades) for row in rows]
    split = part_named(rows[0]["split"])
    if split is None:
        problems.add(rows[0], "split", ", ".join(PARTS))
    ordered = [rows[row].file("file") for row in order.rows] if order else []
    reason = order.reason if order else ""
    return Entry(name, rows[0]["patient"], labels[0], tuple(ordered), split or "", reason, rows[0]["group"])


def _merged(rows: Sequence[Row], label: str, entries: Sequence[Entry], options: Options) -> list[str]:
    """Which grades became which label."""
    if options.positive_from < 0:
        return []
    grades = sorted({row.number(label) or 0.0 for row in rows})
    count = Counter(entry.label for entry in entries)
    shown = f"{len(grades)} grades from {grades[0]:g} to {grades[-1]:g}" if grades else "no grades"
    return [
        f"{shown}: {count[1]} sequences from {options.positive_from:g} on count as positive, {count[0]} as negative"
    ]
