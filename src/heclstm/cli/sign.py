"""heclstm sign"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.keygen import warn_if_others_read
from heclstm.cli.options import AsJson, SigningKey
from heclstm.cli.terminal import emit, facts, out


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
    from msgspec import structs

    from heclstm.card import signature
    from heclstm.errors import FileFormatError
    from heclstm.program.files import load_program
    from heclstm.program.public import NAME, load_card, save_card

    folder = program if program.is_dir() else program.parent
    whole = (folder / "circuit.json").exists()
    card = load_program(folder).card if whole else load_card(program)
    if card.circuit is None:
        raise FileFormatError(f"{program}: is of version 1, which cannot be signed; compile it again")
    warn_if_others_read(key)
    signed = structs.replace(card, signature=signature.sign(card.digest, key))
    save_card(signed, folder / NAME if program.is_dir() else program)
    assert signed.signature is not None  # it was made above
    if as_json:
        emit({"program": str(program), "digest": card.digest, "signed_by": signed.signature.key})
        return
    out().print(facts({"program": card.digest[:12], "signed by": signed.signature.key}))
