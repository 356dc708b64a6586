"""heclstm schema"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit
from heclstm.cli.verb import verb


@verb(after="inspect")
def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="program, header or diagnosis.")],
    as_json: AsJson = False,
) -> None:
    """Everybody: print the JSON Schema of what heclstm writes, to read it by other means.

    program is program.json; header is that of key files, queries and results, which stands before their blobs;
    diagnosis is the file that `decrypt -o` keeps.

    Example:

        heclstm schema program > program.schema.json
    """
    from heclstm.usecases import schema as usecase

    found = usecase.schema(name)
    if as_json:
        emit(found)
    else:
        typer.echo(json.dumps(found, indent=2))
