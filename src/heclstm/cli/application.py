"""The command line as a Typer application: with all verbs, or with the one that was asked for."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from heclstm import cli
from heclstm.cli.verb import Verb, declared, in_order

APART = ("__main__", "application", "main", "start")  # modules that are no verb, and import this one


class Verbs(TyperGroup):
    """Keeps the verbs in order."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"heclstm {version('heclstm')}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Diagnose sequences of medical images that stay encrypted.

    A model owner trains and compiles a program. A hospital makes keys, encrypts, and decrypts; its secret key
    and its images never leave it. A server runs the program on ciphertexts and learns nothing. The verbs
    stand in the order of the data; each says who runs it.

    To see all of it at once: heclstm demo
    """


def application(first: str = "") -> typer.Typer:
    """first: the first word that was typed. If a module of its name declares it, only that one is imported: all of them
    take a fifth of a second until the verb begins.
    """
    app = typer.Typer(
        cls=Verbs,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_main)
    for name, found in _alone(first) or _all():
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, cls=Verb)(found)
    return app


def _alone(first: str) -> list[tuple[str, Any]]:
    names = {each.name for each in iter_modules(cli.__path__)} - set(APART)
    if (module := first.replace("-", "_")) in names:
        import_module(f"heclstm.cli.{module}")
    found = declared(first)
    return [(first, found)] if found else []


def _all() -> list[tuple[str, Any]]:
    for module in iter_modules(cli.__path__):
        if module.name not in APART:
            import_module(f"heclstm.cli.{module.name}")
    return list(in_order())
