"""Rows for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO


def csv_of(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Comma-separated values below their names, each row ended as RFC 4180 says; what is in no column is left out."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Text that begins as a formula would be run by spreadsheets; names of files may come from anybody."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
