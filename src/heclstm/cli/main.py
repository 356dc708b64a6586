"""`heclstm`: its verbs in the order of the data; `cli.ending` makes exit codes of errors.

0   done
1   something unexpected; its traceback is shown
2   a HeclstmError, or what the system refuses: one line on stderr (and JSON on stdout with --json), and no output file
3   done, but there is no decision: no operating point, or too few frames for one
129, 130, 143 ended by SIGHUP, Ctrl+C, SIGTERM; temporary files are removed
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from heclstm import cli
from heclstm.cli.verb import Verb, in_order


class Verbs(TyperGroup):
    """Keeps the verbs in order."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"heclstm {version('heclstm')}")
        raise typer.Exit


@app.callback()
def main(
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


for module in iter_modules(cli.__path__):
    if module.name not in ("__main__", "main"):
        import_module(f"heclstm.cli.{module.name}")
for name, declared in in_order():
    if isinstance(declared, typer.Typer):
        app.add_typer(declared, name=name)
    else:
        app.command(name, cls=Verb)(declared)
