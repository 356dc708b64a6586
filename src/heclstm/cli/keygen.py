"""heclstm keygen"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson, Description, InsecureTest, Threads, Trust
from heclstm.cli.terminal import TERMINAL, emit, facts, out, size


def keygen(
    program: Description,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="KEYS/", help="A folder for both key files.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace existing key files. Results under the old secret key stay sealed."),
    ] = False,
    trust: Trust = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: make a secret key, and the evaluation keys for a server.

    secret.key stays in the hospital (mode 0600); who has it can read every query and result. evaluation.keys
    goes to the server; it lets the server compute, not decrypt. Both are for this one program.

    Example:

        heclstm keygen program.json -o keys/
    """
    from heclstm.usecases import keygen as usecase
    from heclstm.usecases.card import read_card

    card = read_card(program, trust=trust, events=TERMINAL)
    made = usecase.keygen(card, output, replace=force, threads=threads, allow_insecure=insecure_test, events=TERMINAL)
    if as_json:
        emit(made.to_json())
        return
    names = {made.secret.name: "stays here", made.evaluation.name: "goes to the server"}
    rows = {name: f"{size(made.bytes[name])}, {what}" for name, what in names.items()}
    out().print(facts({**rows, "for program": made.program[:12]}))
