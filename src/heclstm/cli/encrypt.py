"""heclstm encrypt"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heclstm.cli.each import Each, forbid, tell_each
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
from heclstm.cli.passphrase import PassphraseFile, passphrase
from heclstm.cli.terminal import TERMINAL, emit, facts, out, size


def encrypt(
    program: Description,
    images: Images,
    key: SecretKeyFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="QUERY.HE", help="Where the query goes; with --each, a folder.")
    ],
    each: Each = False,
    index: Index = None,
    sequence: Sequence = "",
    as_given: AsGiven = False,
    select: Select = None,
    series: Series = 0,
    trust: Trust = None,
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: prepare, pack and encrypt one patient's images into a query.

    The images are checked against what the model was trained on: number, size, channels, range. Their order is told
    with its reason, and refused where names, a manifest or DICOM do not fix it. The query holds ciphertexts, the
    program's digest and a random key label; no name, no path, no pixel.

    With --each, every INPUT is another patient, and so is every row of a NumPy file that holds many. Queries are
    numbered in their order, since their names go to the server; the table at the end says whose each is.

    Examples:

        heclstm encrypt program.json --key keys/secret.key volume.npy -o query.he
        heclstm encrypt program.json --key keys/secret.key patients/* --each -o queries/
    """
    from heclstm.usecases import encrypt as usecase
    from heclstm.usecases.card import read_card
    from heclstm.usecases.images import read_handed_in, selection_of

    card = read_card(program, key=key, trust=trust, events=TERMINAL)
    selection = selection_of(select, series)
    options: dict[str, Any] = {"threads": threads, "allow_insecure": insecure_test, "events": TERMINAL}
    options["passphrase"] = passphrase(passphrase_file)
    if each:
        from heclstm.usecases.encrypt_each import encrypt_each

        forbid(index=index is not None, sequence=sequence)
        outcomes = encrypt_each(card, images, key, output, as_given=as_given, selection=selection, **options)
        tell_each(
            outcomes, lambda made: (str(made.output), f"{made.real_frames} frames"), ("query", ""), as_json=as_json
        )
        return
    handed = read_handed_in(
        images, card, index, sequence=sequence, as_given=as_given, selection=selection, events=TERMINAL
    )
    made = usecase.encrypt(card, handed, key, output, **options)
    if as_json:
        emit(made.to_json())
        return
    rows = {"query": f"{output}, {size(made.bytes)}, goes to the server", "for program": made.program[:12]}
    if made.padded:
        rows["frames"] = f"{made.real_frames} of {made.frames}; decrypt with --frames {made.real_frames}"
    out().print(facts(rows))
