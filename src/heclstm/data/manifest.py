"""Tables that describe a data set: read strictly. All problems are told at once, one line for each kind of them.

Commas, semicolons (as spreadsheets in some countries write them) or tabs separate the columns; a backslash in a file's
name is a folder. No message shows a value: it may be a patient's.
"""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import StringIO
from pathlib import Path

from heclstm.data.order import Order, by_values
from heclstm.data.sources import is_there, require_regular
from heclstm.errors import FileFormatError

MANIFEST = ".csv"
LARGEST_BYTES = 64 << 20
DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
ROUNDED = re.compile(r"[+-]?\d+[.,]?\d*E\+\d+")  # a long number as spreadsheets show it: several become one
# One thousand two hundred, as some countries write it, or one and a fifth.
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")
WHOLE = re.compile(r"[+-]?\d+")
EXAMPLES = 5  # lines that a message names
SEPARATORS = ";\t,"
# What tools write where nothing is known; no name, no label, no time.
PLACEHOLDERS = ("nan", "na", "n/a", "none", "null", "nil", "#n/a", "?", "-")
ENCODING = "save it as “CSV UTF-8”"
REMEDY = "a manifest has the columns sequence, file, and order or seconds"


@dataclass(frozen=True)
class Row:
    """One line of a manifest; column names in lower case."""

    path: Path
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    def number(self, column: str) -> float | None:
        """None where the column holds no finite number, or one that is not 0 and too small to be told from it."""
        try:
            value = float(self[column])
        except ValueError:
            return None
        if "_" in self[column]:  # Python's own way to group digits, nobody else's
            return None
        if value == 0 and re.search(r"[^\W\d_]", self[column]):  # 1e-400
            return None
        return value if math.isfinite(value) else None

    def file(self, column: str) -> Path:
        """What the column names, relative to the manifest."""
        folder, name = self.path.parent, self[column]
        plain = folder / name
        return folder / name.replace("\\", "/") if "\\" in name and not is_there(plain) else plain


class Problems:
    """Kinds of what is wrong, with the lines where they are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, list[int]] = defaultdict(list)

    def add(self, row: Row, column: str, expected: str) -> None:
        lines = self._lines[f"column {column!r}: expected {expected}"]
        if row.line not in lines[-1:]:
            lines.append(row.line)

    def refuse(self) -> None:
        """Raise FileFormatError if there are any."""
        if self._lines:
            kinds = [f"{_lines(lines)}: {kind}" for kind, lines in self._lines.items()]
            raise FileFormatError(f"{self._path}: " + "; ".join(kinds))


def _lines(lines: Sequence[int]) -> str:
    if len(lines) == 1:
        return f"line {lines[0]}"
    more = f" and {len(lines) - EXAMPLES} more" if len(lines) > EXAMPLES else ""
    return f"{len(lines)} lines ({', '.join(map(str, lines[:EXAMPLES]))}{more})"


def read_manifest(path: Path, required: Sequence[str], remedy: str) -> list[Row]:
    """Every line below the header. Raises FileFormatError unless the required columns exist once and are filled."""
    reader = csv.reader(StringIO(_text(path, remedy), newline=""), delimiter=_separator(path, remedy), strict=True)
    rows, problems = [], Problems(path)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        _check_columns(path, columns, required, remedy)
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            row = Row(path, reader.line_num, dict(zip(columns, (value.strip() for value in values), strict=False)))
            if len(values) > len(columns):
                problems.add(row, columns[-1], "no more values than the header has columns")
            for name, value in row.values.items():
                if "\n" in value or "\r" in value:  # perhaps a quotation mark that another one closes, lines below
                    problems.add(row, name, "a value on one line")
            for name in required:
                if not row[name] or row[name].lower() in PLACEHOLDERS:
                    problems.add(row, name, "a value")
            rows.append(row)
    except csv.Error as error:
        raise FileFormatError(f"{path}: not readable as a table of text; {remedy}") from error
    problems.refuse()
    return rows


def sequences_of(path: Path) -> list[str]:
    """The names of all sequences of a manifest, as they come. Raises FileFormatError."""
    return list(dict.fromkeys(row["sequence"] for row in _rows_of_sequences(path)))


def files_of_sequence(path: Path, name: str) -> tuple[list[Path], str]:
    """One sequence of a manifest: its files in their order, and why they stand so.

    name: may be "" where there is only one. Raises FileFormatError.
    """
    rows = _rows_of_sequences(path)
    names = {row["sequence"] for row in rows}
    if not name and len(names) != 1:
        raise FileFormatError(f"{path}: holds {len(names)} sequences; name one by --sequence")
    found = [row for row in rows if row["sequence"] == name or not name]
    if not found:
        raise FileFormatError(f"{path}: holds no sequence of that name, but {len(names)} others")
    problems = Problems(path)
    require_one_value(found, "patient", problems)
    order = order_of(found, problems)
    problems.refuse()
    assert order is not None  # nothing was refused
    return [found[row].file("file") for row in order.rows], order.reason


def _rows_of_sequences(path: Path) -> list[Row]:
    """All lines; none of a sequence that another spelling would cut in two."""
    rows, problems = read_manifest(path, ("sequence", "file"), REMEDY), Problems(path)
    require_one_spelling(rows, "sequence", problems)
    problems.refuse()
    return rows


def order_of(rows: Sequence[Row], problems: Problems) -> Order | None:
    """The order of the lines of one sequence, by seconds, else by order; None where there are problems."""
    columns = [name for name in ("seconds", "order") if any(row[name] for row in rows)] or ["order"]
    orders = []
    for column in columns:
        values, seen = [], set()
        for row in rows:
            value = row.number(column)
            if value is None:
                problems.add(row, column, "a finite number")
            elif value in seen:
                problems.add(row, column, "another value for each file of a sequence")
            else:
                seen.add(value)
                values.append(value)
        if len(values) < len(rows):
            return None
        orders.append(by_values(values, f"by {column} of the manifest", str(rows[0].path)))
        if (others := _ungrouped([row[column] for row in rows])) and _ranks(others) != _ranks(values):
            problems.add(rows[0], column, "numbers that can be read in one way only (1.200 may be 1200)")
            return None
    if len({order.rows for order in orders}) > 1:
        problems.add(rows[0], "order", "the same order as by seconds")
        return None
    files = set()
    for row in rows:
        if row["file"] in files:
            problems.add(row, "file", "each file once in a sequence")
        files.add(row["file"])
    return orders[0]


def _ungrouped(texts: Sequence[str]) -> list[float]:
    """What they are if points part thousands; empty if they cannot be meant so."""
    if not any(map(GROUPED.fullmatch, texts)) or not all(
        GROUPED.fullmatch(text) or WHOLE.fullmatch(text) for text in texts
    ):
        return []
    return [float(text.replace(".", "")) for text in texts]


def _ranks(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=values.__getitem__)


def label_of(row: Row, column: str, problems: Problems, positive_from: float | None = None) -> int:
    """0 or 1; where `positive_from` is given, whether a number of at least 0 reaches it."""
    value = row.number(column)
    if positive_from is None:
        if value not in (0, 1):
            problems.add(row, column, "0 or 1")
        return int(value == 1)
    if value is None or value < 0:
        problems.add(row, column, "a number of at least 0")
    return int(value is not None and value >= positive_from)


def require_one_value(rows: Sequence[Row], column: str, problems: Problems) -> None:
    """All these lines must say the same."""
    for row in rows:
        if spelling(row[column]) != spelling(rows[0][column]):
            problems.add(row, column, "the same in all lines of a sequence")


def require_one_spelling(rows: Sequence[Row], column: str, problems: Problems) -> None:
    """7 and 7.0, 007 and 7, p1 and P1, é as one letter and as two: one name in two spellings would become two."""
    spelled: dict[str, str] = {}
    for row in rows:
        if row[column] and spelled.setdefault(spelling(row[column]), row[column]) != row[column]:
            problems.add(row, column, "one spelling of each name, such as 7 or 7.0")
        if ROUNDED.fullmatch(row[column]):
            problems.add(row, column, "names that no spreadsheet has rounded (1.23E+11); format the column as text")


@lru_cache(1 << 16)  # a table is read anew for each of its sequences
def spelling(name: str) -> str:
    """What two spellings of one name share."""
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")  # without what takes no place
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", seen).casefold())
    return repr(Fraction(plain)) if DECIMAL.fullmatch(plain) else plain  # exactly: floats make one of long numbers


def _text(path: Path, remedy: str) -> str:
    require_regular(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise FileFormatError(f"{path}: got more than {LARGEST_BYTES} bytes; {remedy}")
        if b"\0" in content:
            raise FileFormatError(
                f"{path}: not readable as comma-separated text in UTF-8 (it holds bytes of 0); {ENCODING}; {remedy}"
            )
        return content.decode("utf-8-sig")
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not readable as comma-separated text in UTF-8; {ENCODING}; {remedy}") from error


def _separator(path: Path, remedy: str) -> str:
    """The one that the header has."""
    header = _text(path, remedy).split("\n", 1)[0]
    return max(SEPARATORS, key=lambda separator: (header.count(separator), separator == ","))


def _check_columns(path: Path, columns: Sequence[str], required: Iterable[str], remedy: str) -> None:
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise FileFormatError(
            f"{path}: has the column {', '.join(twice)} more than once (in any case); keep one of them"
        )
    if missing := [name for name in required if name not in columns]:
        got = ", ".join(filter(None, columns)) or "none"
        raise FileFormatError(f"{path}: got columns {got}, expected also {', '.join(missing)}; {remedy}")
