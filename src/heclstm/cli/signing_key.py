"""heclstm signing-key"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, facts, out
from heclstm.cli.verb import verb


@verb(after="compile")
def signing_key(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OWNER.PEM", help="The private key; the public one stands beside.")
    ],
    as_json: AsJson = False,
) -> None:
    """Model owner: make a key to sign programs with.

    OWNER.PEM stays with the model owner (mode 0600). OWNER.PUB goes to the hospitals, by a way that they trust:
    with `--trust OWNER.PUB` they refuse every program that this key has not signed.

    Example:

        heclstm signing-key -o owner.pem
    """
    from heclstm.usecases.sign import new_signing_key

    made = new_signing_key(output)
    if as_json:
        emit(made.to_json())
        return
    rows = {"private key": f"{made.private}, stays here", "public key": f"{made.public}, goes to the hospitals"}
    out().print(facts({**rows, "key": made.key}))
