"""Tokens and passphrases: from a file, from the environment, or typed unseen; never from the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from heclstm.errors import InputError

BYTES_MAX = 8192


def token(file: Path | None) -> str:
    """Empty where nobody gives one: that of an earlier `connect` will do."""
    return _first_line(file, "token") if file else os.environ.get("HECLSTM_TOKEN", "").strip()


def passphrase(file: Path | None, *, wanted: bool, new: bool = False) -> str | None:
    """None where none is given and none is wanted. new: it is typed twice."""
    if file:
        return _first_line(file, "passphrase")
    if found := os.environ.get("HECLSTM_PASSPHRASE"):
        return found
    if not wanted:
        return None
    if not sys.stdin.isatty():
        raise InputError("passphrase: is missing; give --passphrase-file or HECLSTM_PASSPHRASE")
    typed: str = typer.prompt("passphrase", hide_input=True, confirmation_prompt=new, err=True)
    return typed


def _first_line(file: Path, what: str) -> str:
    try:
        with file.open("rb") as stream:
            line = stream.readline(BYTES_MAX).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: holds no text, expected the {what} in its first line") from error
    if not line.strip():
        raise InputError(f"{file}: its first line is empty, expected the {what}")
    return line.strip() if what == "token" else line
