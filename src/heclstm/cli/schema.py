"""heclstm schema"""

from __future__ import annotations

from typing import Annotated

import typer

from heclstm.cli.terminal import emit


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="program, header or diagnosis.")],
) -> None:
    """Everybody: print the JSON Schema of what heclstm writes, to read it by other means.

    program is program.json; header is that of key files, queries and results, which stands before their blobs;
    diagnosis is the file that `decrypt -o` keeps.

    Example:

        heclstm schema program > program.schema.json
    """
    from heclstm.usecases import schema as usecase

    emit(usecase.schema(name))
