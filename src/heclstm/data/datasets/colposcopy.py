"""Colposcopy series after acetic acid, described by a manifest: one line for each picture.

    sequence,patient,seconds,file,label
    s01,p01,0,p01/before.jpg,1
    s01,p01,60,p01/after-60s.jpg,1
    s02,p02,0,p02/a.png,0

sequence    pictures with the same name form a sequence, in the order of `seconds` (or `order`); any number of them
patient     never divided between training, validation and test
file        relative to the manifest
label       1 for disease, 0 for none, the same in all lines of a sequence
split       optional: train, validation or test
same_as     optional: another patient name under which the same person was registered
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from heclstm.data.datasets.files import Entry, FileOptions, assemble
from heclstm.data.datasets.manifest import Row, one_value, read_manifest
from heclstm.data.datasets.splits import Splits
from heclstm.errors import FileFormatError

REMEDY = "a manifest has the columns sequence, patient, file, label, and order or seconds"


@dataclass(frozen=True)
class Options(FileOptions):
    """label: the column that holds labels. positive_from: a number of at least this is positive."""

    label: str = "label"
    positive_from: float = 1.0


def load(path: Path, options: Options) -> Splits:
    """path: the manifest, or the folder that holds it as manifest.csv."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    rows = read_manifest(manifest, ("sequence", "patient", "file", options.label.lower()), REMEDY)
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["sequence"]].append(row)
    entries = [_entry(name, group, options) for name, group in groups.items()]
    same = [(row["patient"], row["same_as"]) for row in rows if row["same_as"]]
    name = manifest.parent.name or "colposcopy"
    return assemble(name, entries, options, same=same)


def _entry(name: str, rows: list[Row], options: Options) -> Entry:
    column = "seconds" if rows[0]["seconds"] else "order"
    times = [row.number(column) for row in rows]
    for row, time in zip(rows, times, strict=True):
        if times.count(time) > 1:
            raise FileFormatError(
                f"{row.path}: line {row.line}: column {column!r}: sequence {name} has this value twice; "
                "expected a time for each picture"
            )
    folder = rows[0].path.parent
    ordered = [row for _, row in sorted(zip(times, rows, strict=True), key=lambda pair: pair[0])]
    for field in ("patient", options.label.lower(), "split"):
        one_value(rows, field)
    return Entry(
        name,
        rows[0]["patient"],
        int(rows[0].number(options.label.lower()) >= options.positive_from),
        tuple(folder / row["file"] for row in ordered),
        rows[0].split,
    )
