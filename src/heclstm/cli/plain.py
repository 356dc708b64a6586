"""What a verb prints without rich, which takes a while to load: one line of an error, and JSON."""

from __future__ import annotations

import json
import os
import sys
from io import TextIOWrapper
from typing import Any


def show_anything() -> None:
    """Letters that the terminal's encoding has not are escaped: no verb may fail after its work for a name.

    Nor for a stream that was closed before it began.
    """
    if sys.stdout is None or sys.stderr is None:
        nowhere = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Text without what a terminal would obey: names of files, layers and fields may come from anybody."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def fail(message: str) -> None:
    """One line on stderr, whatever the message holds."""
    print(printable("heclstm: " + " ".join(message.split())), file=sys.stderr)


def emit(data: dict[str, Any]) -> None:
    """The machine-readable result of a verb."""
    print(json.dumps(data, allow_nan=False))
