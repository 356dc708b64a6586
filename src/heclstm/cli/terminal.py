"""What the verbs print: results on stdout, events and errors on stderr.

In a terminal, progress is a bar with the time left; elsewhere it is one line for each finished stage. Strings are
printed as they are: names and paths may hold brackets. `bold` and `dim` are for emphasis. What needs no rich stands in
`cli.plain`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from heclstm.cli.plain import emit, fail, printable
from heclstm.templates.units import seconds, size
from heclstm.usecases.events import Events, Update

__all__ = ["TERMINAL", "bold", "dim", "emit", "err", "facts", "fail", "note", "out", "seconds", "size", "table"]

PIPE_WIDTH = 110  # columns, where nobody says how many there are


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # which rich would turn into exit code 1 without a word


def out() -> Console:
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return _Console(highlight=False, markup=False, emoji=False, width=width)


def err() -> Console:
    return _Console(stderr=True, highlight=False, markup=False, emoji=False)


def bold(text: str) -> Text:
    return Text(text, style="bold")


def dim(text: str) -> Text:
    return Text(text, style="dim")


def note(message: str, console: Console | None = None) -> None:
    with suppress(OSError):  # no work is lost because nobody listens
        (console or err()).print(printable(message), soft_wrap=True)


class Terminal:
    """Events of a use case, on stderr. Notes that come while a bar is shown stand above it."""

    def __init__(self) -> None:
        self._live: Console | None = None

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        """Show how far it is; yields a function to report (done, in all) to."""
        console, start = err(), time.monotonic()
        if not console.is_terminal:
            yield lambda done, total: None
            note(f"{title}: {time.monotonic() - start:.1f} s")
            return
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=36),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(title, total=None)
            self._live = console
            try:
                yield lambda done, total: bars.update(task, completed=done, total=total)
            finally:
                self._live = None

    def note(self, text: str) -> None:
        note(text, self._live)


TERMINAL: Events = Terminal()


class _Rows(Table):
    """A table whose cells show as they are."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def table(*columns: str, title: str | None = None, left: int = 1) -> Table:
    """A table whose first `left` columns are text and whose others are numbers."""
    result = _Rows(title=title, title_justify="left", title_style="bold", header_style="bold", box=_box())
    for number, column in enumerate(columns):
        result.add_column(column, justify="left" if number < left else "right", overflow="fold")
    return result


def facts(rows: Mapping[str, str | Text], title: str | None = None) -> Table:
    """Names and values in two columns without a head."""
    result = _Rows(title=title, title_justify="left", title_style="bold", box=_box(), show_header=False)
    result.add_column(style="dim")
    result.add_column(overflow="fold")
    for name, value in rows.items():
        result.add_row(name, value)
    return result


def _box() -> Any:
    from rich.box import SIMPLE_HEAD

    return SIMPLE_HEAD
