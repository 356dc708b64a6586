"""heclstm sign"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson, SigningKey
from heclstm.cli.terminal import TERMINAL, emit, facts, out
from heclstm.cli.verb import verb


@verb(after="signing-key")
def sign(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM/", help="A program folder, or its program.json alone.")],
    key: SigningKey,
    as_json: AsJson = False,
) -> None:
    """Model owner: sign a program, in its program.json.

    The signature is over the program's digest, so it holds for the card, the operations and the weights. Keys and
    queries made for the program before stay valid.

    Example:

        heclstm sign program/ --key owner.pem
    """
    from heclstm.usecases import sign as usecase

    signed = usecase.sign(program, key, events=TERMINAL)
    if as_json:
        emit(signed.to_json())
        return
    out().print(facts({"program": signed.digest[:12], "signed by": signed.signed_by}))
