"""heclstm inspect"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, facts, out, size
from heclstm.cli.verb import verb


@verb(after="demo")
def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Any file or folder of ours.")],
    as_json: AsJson = False,
) -> None:
    """Everybody: say what a file is: kind, program, digest, sizes. Never a secret.

    Knows model folders, program folders and program.json, key files, queries, results and diagnoses. Key
    files and messages are read to their end, to see whether they arrived whole.

    Example:

        heclstm inspect keys/evaluation.keys
    """
    from heclstm.usecases import inspect as usecase

    found = usecase.inspect(path).to_json()
    if as_json:
        emit(found)
        return
    rows = {name.replace("_", " "): _text(name, value) for name, value in found.items()}
    out().print(facts(rows))


def _text(name: str, value: Any) -> str:
    if name.endswith("bytes"):
        return f"{size(value)} ({value} bytes)"
    return value if isinstance(value, str) else json.dumps(value)
