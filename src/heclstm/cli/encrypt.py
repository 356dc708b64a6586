"""heclstm encrypt"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import (
    AsGiven,
    AsJson,
    Description,
    Images,
    Index,
    InsecureTest,
    SecretKeyFile,
    Select,
    Sequence,
    Series,
    Threads,
    Trust,
)
from heclstm.cli.terminal import TERMINAL, emit, facts, out, size


def encrypt(
    program: Description,
    images: Images,
    key: SecretKeyFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="QUERY.HE", help="Where the query goes.")],
    index: Index = None,
    sequence: Sequence = "",
    as_given: AsGiven = False,
    select: Select = None,
    series: Series = 0,
    trust: Trust = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: prepare, pack and encrypt one patient's images into a query.

    The images are checked against what the model was trained on: number, size, channels, range. Their order is told
    with its reason, and refused where names, a manifest or DICOM do not fix it. The query holds ciphertexts, the
    program's digest and a random key label; no name, no path, no pixel.

    Example:

        heclstm encrypt program.json --key keys/secret.key volume.npy -o query.he
    """
    from heclstm.usecases import encrypt as usecase
    from heclstm.usecases.card import read_card
    from heclstm.usecases.images import read_handed_in, selection_of

    card = read_card(program, key=key, trust=trust, events=TERMINAL)
    selection = selection_of(select, series)
    handed = read_handed_in(
        images, card, index, sequence=sequence, as_given=as_given, selection=selection, events=TERMINAL
    )
    made = usecase.encrypt(card, handed, key, output, threads=threads, allow_insecure=insecure_test, events=TERMINAL)
    if as_json:
        emit(made.to_json())
        return
    rows = {"query": f"{output}, {size(made.bytes)}, goes to the server", "for program": made.program[:12]}
    if made.padded:
        rows["frames"] = f"{made.real_frames} of {made.frames}; decrypt with --frames {made.real_frames}"
    out().print(facts(rows))
