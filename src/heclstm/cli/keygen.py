"""heclstm keygen"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson, Description, InsecureTest, Threads, Trust
from heclstm.cli.passphrase import PassphraseFile, passphrase
from heclstm.cli.terminal import TERMINAL, emit, facts, out, size
from heclstm.cli.verb import verb


@verb(after="estimate")
def keygen(
    program: Description,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="KEYS/", help="A folder for both key files.")],
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace existing key files. The old secret key is kept beside the new one, by its label."
        ),
    ] = False,
    sealed: Annotated[
        bool, typer.Option("--passphrase", help="Seal the secret key by a passphrase: asked for, or from a file.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    trust: Trust = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: make a secret key, and the evaluation keys for a server.

    secret.key stays in the hospital (mode 0600); who has it can read every query and result, unless --passphrase
    sealed it. evaluation.keys goes to the server; it lets the server compute, not decrypt. Both are for this one
    program.

    Example:

        heclstm keygen program.json -o keys/
    """
    from heclstm.usecases import keygen as usecase
    from heclstm.usecases.card import read_card

    card = read_card(program, trust=trust, events=TERMINAL)
    words = passphrase(passphrase_file, new=True)() if sealed or passphrase_file else None
    made = usecase.keygen(
        card, output,
        replace=force, passphrase=words, threads=threads, allow_insecure=insecure_test, events=TERMINAL,
    )  # fmt: skip
    if as_json:
        emit(made.to_json())
        return
    names = {
        made.secret.name: f"stays here, {'sealed' if words else 'not sealed'}",
        made.evaluation.name: "goes to the server",
    }
    rows = {name: f"{size(made.bytes[name])}, {what}" for name, what in names.items()}
    out().print(facts({**rows, "for program": made.program[:12]}))
