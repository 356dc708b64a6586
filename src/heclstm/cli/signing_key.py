"""heclstm signing-key"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, facts, out


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
    from heclstm.card.signature import new_pair
    from heclstm.errors import InputError
    from heclstm.storage.atomic import new_files, save_file

    public = output.with_suffix(".pub")
    if public == output:
        raise InputError(f"{output}: is the name of the public key, expected another ending, such as .pem")
    pair = new_pair()
    with new_files(output.parent, replace=False) as partial:
        save_file(partial / output.name, pair.private, 0o600)
        save_file(partial / public.name, pair.public)
    if as_json:
        emit({"private": str(output), "public": str(public), "key": pair.fingerprint})
        return
    rows = {"private key": f"{output}, stays here", "public key": f"{public}, goes to the hospitals"}
    out().print(facts({**rows, "key": pair.fingerprint}))
