"""What holds for every verb: its place, where it may write, and an end with one line when something is in its way."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from heclstm.cli.ending import UNDECIDED, Ending, ended_by_signals, ending_of
from heclstm.cli.plain import show_anything
from heclstm.cli.scratch import scratch_beside
from heclstm.errors import OutputError

__all__ = ["UNDECIDED", "Verb", "declared", "in_order", "verb"]

WRITTEN = (".he", ".html", ".json", ".case")  # what may stand beside a list of images
IMAGES = "images"  # the option or argument that may name a folder of them
OURS = ("program.json", "circuit.json", "model.json", "evaluation.keys", "secret.key")  # of folders that are read
USAGE_ERROR: Any = typer.BadParameter.__base__  # Typer's own or click's, by its version
Declared = TypeVar("Declared", bound=Callable[..., Any] | typer.Typer)
_VERBS: dict[str, tuple[Any, str | None]] = {}  # name → the verb, and the one that it stands after


def verb(*, after: str | None, name: str = "") -> Callable[[Declared], Declared]:
    """Make a function `heclstm NAME`, or a Typer a group of verbs, listed after another verb.

    Of two after the same one, the first by name comes first. Whatever module of `cli/` declares a verb,
    `cli.application` finds it.
    """

    def declare(found: Declared) -> Declared:
        own = name or getattr(found, "__name__", "").replace("_", "-")
        if _VERBS.setdefault(own, (found, after))[0] is not found:
            raise ValueError(f"two verbs are called {own}")
        return found

    return declare


def declared(name: str) -> Any | None:
    """The verb of that name, if a module that was imported declares it."""
    return _VERBS.get(name, (None, None))[0]


def in_order() -> Iterator[tuple[str, Any]]:
    """(name, verb) of all that are declared, in the order of the data."""

    def following(name: str | None) -> Iterator[tuple[str, Any]]:
        for own in sorted(own for own, (_, after) in _VERBS.items() if after == name):
            yield own, _VERBS[own][0]
            yield from following(own)

    found = dict(following(None))
    if lost := _VERBS.keys() - found.keys():
        raise ValueError(f"{', '.join(sorted(lost))}: stand after a verb that does not exist")
    yield from found.items()


class Verb(TyperCommand):
    """Looks at --output before any work starts, and turns expected errors into one line and an exit code."""

    def make_context(self, info_name: Any, args: Any, *rest: Any, **extra: Any) -> Any:
        as_json = "--json" in args
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except USAGE_ERROR as error:
            if as_json:
                Ending("UsageError", error.format_message(), error.exit_code).tell(as_json=True)
                raise typer.Exit(error.exit_code) from error
            raise

    def invoke(self, ctx: Any) -> Any:
        show_anything()
        output = Path(ctx.params["output"]) if ctx.params.get("output") is not None else None
        try:
            with ended_by_signals(), scratch_beside(output):
                if output is not None:
                    kind = next(str(param.metavar) for param in self.params if param.name == "output")
                    require_output(output, folder=kind.endswith("/") or bool(ctx.params.get("each")))
                    require_other(output, {name: value for name, value in ctx.params.items() if name != "output"})
                done = super().invoke(ctx)
                sys.stdout.flush()
                return done
        except BaseException as error:
            ending = ending_of(error, output, str(ctx.info_name))
            if ending is None:
                raise
        ending.tell(as_json=bool(ctx.params.get("as_json")))
        raise typer.Exit(ending.code)


def require_other(output: Path, given: Mapping[str, Any]) -> None:
    """Raise OutputError for a file that the verb reads: a patient's images or a key would be gone. given: its options
    and arguments.
    """
    if not output.is_file():
        return
    for name, value in given.items():
        for path in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(path, Path):
                continue
            try:
                same = os.path.samefile(path, output)
            except (OSError, ValueError):  # it is not there: the verb says so
                continue
            lists = name == IMAGES and (path.suffix.lower() == ".csv" or path.name.upper() == "DICOMDIR")
            folder = path.parent if lists else path
            inside = folder.is_dir() and output.resolve().is_relative_to(folder.resolve())
            among = inside and name == IMAGES and not (lists and output.suffix.lower() in WRITTEN)
            if same or among or inside and (output.name in OURS or name == "site"):
                what = f"lies among the images in {path}" if among else "is read by this command"
                raise OutputError(f"{output}: {what}; choose another output")


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
