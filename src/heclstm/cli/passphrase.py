"""Where the passphrase of a secret key comes from: a file, the environment, the system's keyring, whoever types it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.terminal import note
from heclstm.errors import InputError, KeyringError, MissingLibraryError

VARIABLE = "HECLSTM_PASSPHRASE"
BYTES_MAX = 4096

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"Its first line is the passphrase of the secret key; else {VARIABLE} is, or it is asked for.",
    ),
]


def passphrase(
    file: Path | None, *, new: bool = False, keyring: Callable[[], str] | None = None, of: str = "secret key"
) -> Callable[[], str]:
    """What asks for it, once. new: twice, where somebody types it. keyring: asks the one that holds it. of: what it
    opens, as who types it is told.
    """
    known: list[str] = []

    def ask() -> str:
        if not known:
            known.append(_read(file, new, keyring, of))
        return known[0]

    return ask


def _read(file: Path | None, new: bool, keyring: Callable[[], str] | None, of: str) -> str:
    if file is not None:
        try:
            with file.open(encoding="utf-8") as stream:
                return stream.readline(BYTES_MAX).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: is no text in UTF-8, expected a passphrase in its first line") from error
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    if keyring is not None:
        try:
            return keyring()
        except (KeyringError, MissingLibraryError) as error:
            if not _terminal():
                raise
            note(str(error))
    if not _terminal():
        raise InputError(f"passphrase: there is no terminal to ask at; give --passphrase-file or set {VARIABLE}")
    try:
        text: str = typer.prompt(f"Passphrase of the {of}", hide_input=True, confirmation_prompt=new, err=True)
    except typer.Abort as error:  # of Ctrl+C, or of the end of what is typed
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise InputError("passphrase: none was typed") from None
    return text


def _terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
