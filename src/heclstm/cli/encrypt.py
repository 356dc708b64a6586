"""heclstm encrypt"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.card import read_card
from heclstm.cli.keygen import warn_if_others_read
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
from heclstm.cli.terminal import emit, facts, out, size


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
    from contextlib import closing

    from heclstm.cli.images import read_handed_in
    from heclstm.deploy.client import Client

    card = read_card(program, key=key, trust=trust)
    handed = read_handed_in(images, card, index, sequence=sequence, as_given=as_given, select=select, series=series)
    frames = handed.sequence
    with closing(Client(card, threads=threads, allow_insecure=insecure_test)) as client:
        warn_if_others_read(key)
        client.load_secret_key(key)
        written = client.encrypt(frames).save(output)
    if as_json:
        result = {"query": str(output), "bytes": written, "program": card.digest}
        result |= {"order": handed.order, "notes": list(handed.notes)}
        emit(result | ({"frames": frames.real_frames} if card.padded else {}))
        return
    rows = {"query": f"{output}, {size(written)}, goes to the server", "for program": card.digest[:12]}
    if card.padded:
        rows["frames"] = f"{frames.real_frames} of {len(frames)}; decrypt with --frames {frames.real_frames}"
    out().print(facts(rows))
