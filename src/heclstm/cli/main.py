"""`heclstm`: its verbs in the order of the data, and the one place where an error becomes an exit code.

0   done
1   something unexpected; its traceback is shown
2   a HeclstmError, or a file that cannot be written: one line on stderr, and no output file
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from heclstm.cli import (
    calibrate,
    compile,
    decrypt,
    demo,
    encrypt,
    estimate,
    evaluate,
    inspect,
    keygen,
    report,
    run,
    train,
)
from heclstm.cli.terminal import fail
from heclstm.errors import HeclstmError

# What the system refuses because of what was asked for; any other OSError is a fault of ours.
REFUSALS = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)


class Verbs(TyperGroup):
    """Keeps the verbs in order and turns expected errors into one line and exit code 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HeclstmError as error:
            fail(str(error))
        except REFUSALS as error:
            fail(f"{error.filename}: {error.strerror}; choose another output")
        except OSError as error:
            if error.errno != 28:  # no space left on device
                raise
            fail(f"{error.filename or 'output'}: {error.strerror}; free some space, or choose another output")
        raise typer.Exit(2)


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


for verb in (
    train.train,
    calibrate.calibrate,
    evaluate.evaluate,
    compile.compile,
    estimate.estimate,
    keygen.keygen,
    encrypt.encrypt,
    run.run,
    decrypt.decrypt,
    report.report,
    demo.demo,
    inspect.inspect,
):
    app.command()(verb)
