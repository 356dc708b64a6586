"""heclstm keygen"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.card import read_card
from heclstm.cli.options import AsJson, Description, InsecureTest, Threads, Trust
from heclstm.cli.terminal import emit, facts, note, out, progress, size

if TYPE_CHECKING:
    from heclstm.card.program_card import ProgramCard


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
    from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
    from heclstm.errors import ParameterError

    card = read_card(program, trust=trust)
    if (output / SECRET_KEY_FILE).exists() and not force:
        raise ParameterError(
            f"{output / SECRET_KEY_FILE}: exists, and without it nothing encrypted under it can be read; "
            "choose another folder, or add --force"
        )
    if (output / EVALUATION_KEYS_FILE).exists() and not force:
        raise ParameterError(
            f"{output / EVALUATION_KEYS_FILE}: exists, and queries under its secret key cannot be evaluated without "
            "it; choose another folder, or add --force"
        )
    sizes = make_keys(card, output, threads=threads, allow_insecure=insecure_test, force=force)
    if as_json:
        emit({"keys": str(output), "program": card.digest, "bytes": sizes})
        return
    names = {"secret.key": "stays here", "evaluation.keys": "goes to the server"}
    rows = {name: f"{size(sizes[name])}, {what}" for name, what in names.items()}
    out().print(facts({**rows, "for program": card.digest[:12]}))


def make_keys(
    card: ProgramCard, folder: Path, *, threads: int | None, allow_insecure: bool, force: bool = False
) -> dict[str, int]:
    """Write both key files into `folder`, both or none; returns their sizes. force: in place of existing ones."""
    from contextlib import closing

    from heclstm.deploy.client import Client
    from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
    from heclstm.errors import OutputError
    from heclstm.storage.atomic import new_files

    client = Client(card, threads=threads, allow_insecure=allow_insecure)
    with closing(client), new_files(folder, replace=force) as partial:
        with progress("making keys") as update:
            try:
                client.generate_keys(partial, update)
            except OutputError as error:  # names a file in `partial`, which nobody knows
                raise OutputError(str(error).replace(str(partial), str(folder))) from error
        return {name: (partial / name).stat().st_size for name in (EVALUATION_KEYS_FILE, SECRET_KEY_FILE)}


def warn_if_others_read(secret_key: Path) -> None:
    """Say so on stderr if more than its owner can read this secret key."""
    try:
        mode = secret_key.stat().st_mode & 0o777
    except OSError:
        return  # who reads it says why
    if mode & 0o044:
        note(f"warning: {secret_key}: readable by others than its owner (mode {mode:04o}); chmod 600 it")
