"""What holds for every verb: where it may write, and how it ends when something stands in its way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from heclstm.cli.terminal import fail, show_anything
from heclstm.errors import HeclstmError, OutputError
from heclstm.extras import missing


class Verb(TyperCommand):
    """Looks at --output before any work starts, and turns expected errors into one line and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        show_anything()
        output = ctx.params.get("output")
        try:
            with ended_by_sigterm():
                if output is not None:
                    kind = next(str(param.metavar) for param in self.params if param.name == "output")
                    require_output(Path(output), folder=kind.endswith("/"))
                return super().invoke(ctx)
        except HeclstmError as error:
            fail(str(error))
        except ModuleNotFoundError as error:
            if (told := missing(error, str(self.name))) is None:
                raise
            fail(str(told))
        except BrokenPipeError:
            raise  # who read our stdout went away: Typer ends quietly
        except OSError as error:
            fail(describe(error, Path(output) if output else None))
        raise typer.Exit(2)


def require_output(path: Path, *, folder: bool) -> None:
    """Raise OutputError where nothing can be written: that is better known now than after the work."""
    if folder and path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is no folder; choose another output")
    if not folder and path.is_dir():
        raise OutputError(f"{path}: is a folder, expected the name of a file to write")
    if not folder and path.exists() and not path.is_file():
        raise OutputError(f"{path}: is no regular file; choose another output")
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise OutputError(f"{nearest}: is no folder; choose another output")


def describe(error: OSError, output: Path | None) -> str:
    """One line with the path that the user knows: not that of a temporary file on the way to it."""
    named = error.filename2 or error.filename
    path = Path(os.fsdecode(named)) if isinstance(named, str | bytes | os.PathLike) else None
    reason = error.strerror or str(error) or type(error).__name__
    if output is None:
        return f"{path or 'output'}: {reason}"
    if path is None or _is_temporary(path, output):
        return f"{output}: {reason}; choose another output"
    place, wanted = path.absolute(), output.absolute()
    if place == wanted or wanted in place.parents or place in wanted.parents:
        return f"{path}: {reason}; choose another output"
    return f"{path}: {reason}"


def _is_temporary(path: Path, output: Path) -> bool:
    """Ours, beside or inside the output: such names start with a dot or end with .part."""
    try:
        parts = path.absolute().relative_to(output.absolute().parent).parts
    except ValueError:
        return False
    return path != output and any(part.startswith(".") or part.endswith(".part") for part in parts)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that temporary files (of secret keys, too) are removed on the way out."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the cleaning
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
