"""Tables of comma-separated values that describe a data set: read strictly, every problem named with its line."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heclstm.data.datasets.patients import PARTS
from heclstm.errors import FileFormatError


@dataclass(frozen=True)
class Row:
    """One line of a manifest; column names in lower case."""

    path: Path
    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    def number(self, column: str) -> float:
        """Raises FileFormatError if the column holds no number."""
        try:
            return float(self[column])
        except ValueError as error:
            raise self.wrong(column, "a number") from error

    @property
    def split(self) -> str:
        """The part that the line names, or ""."""
        name = {"val": "validation", "valid": "validation", "training": "train"}.get(self["split"], self["split"])
        if name and name not in PARTS:
            raise self.wrong("split", ", ".join(PARTS))
        return name

    def wrong(self, column: str, expected: str) -> FileFormatError:
        """The error of a value that is none of the expected ones; the value itself may be a patient's."""
        return FileFormatError(f"{self.path}: line {self.line}: column {column!r}: expected {expected}")


def read_manifest(path: Path, required: Sequence[str], remedy: str) -> list[Row]:
    """Every line below the header. Raises FileFormatError unless the required columns exist and are filled."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            if missing := [name for name in required if name not in columns]:
                raise FileFormatError(
                    f"{path}: got columns {', '.join(columns) or 'none'}, expected also {', '.join(missing)}; {remedy}"
                )
            reader.fieldnames = columns
            lines = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path}: not readable as comma-separated text in UTF-8; {remedy}") from error
    rows = []
    for line, values in lines:
        if None in values:  # DictReader's key for what has no column
            raise FileFormatError(f"{path}: line {line}: got more values than the header has columns")
        row = Row(path, line, {name: (value or "").strip() for name, value in values.items()})
        for name in required:
            if not row[name]:
                raise row.wrong(name, "a value")
        rows.append(row)
    return rows


def one_value(rows: Sequence[Row], column: str) -> str:
    """What all these lines say. Raises FileFormatError if they disagree."""
    for row in rows:
        if row[column] != rows[0][column]:
            raise row.wrong(column, f"the same as in line {rows[0].line}, which is of the same sequence")
    return rows[0][column]
