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
from heclstm.cli.verb import verb
from heclstm.errors import InputError


@verb(after="keygen")
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
    name: Annotated[str, typer.Option("--name", help="What to call the sequence; stays in the case.")] = "",
    study: Annotated[str, typer.Option("--study", help="Where it belongs, in your words; stays in the case.")] = "",
    select: Select = None,
    series: Series = 0,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override",
            metavar="[INPUT:]envelope=REASON",
            help="Decide about unusual images; reports tell why. With --each, INPUT says whose; may be repeated.",
        ),
    ] = None,
    trust: Trust = None,
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: prepare, pack and encrypt one patient's images into a query.

    The images are checked against what the model was trained on: number, size, channels, range, and whether they
    look alike at all (brightness, grain, colour, likeness of neighbours, place): of images that do not, no decision
    is made, unless --override says why one should be. Their order is told with its reason, and refused where names,
    a manifest or DICOM do not fix it. The query holds ciphertexts, the program's digest and a random key label; no
    name, no path, no pixel. Beside it lies the case (QUERY.case), which `decrypt` and `report` need: it is private
    (mode 0600) and never leaves the hospital. A case that stands there already stays, since the result of its query
    may still come; the new one is QUERY-LABEL.case, and `decrypt` finds either by its label.

    With --each, every INPUT is another patient, and so is every sequence of a manifest and every row of a NumPy file
    that holds many. Queries are numbered in their order, since their names go to the server; the table at the end says
    whose each is. An --override then names whom it is about: --override 's084:envelope=REASON'.

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

        forbid(index=index is not None, sequence=sequence, name=name)
        which: dict[str, Any] = {"as_given": as_given, "selection": selection, "overrides": _reasons(override or [])}
        outcomes = encrypt_each(card, images, key, output, study=study, **which, **options)
        tell_each(
            outcomes, lambda made: (str(made.output), f"{made.real_frames} frames"), ("query", ""), as_json=as_json
        )
        return
    handed = read_handed_in(
        images, card, index, sequence=sequence, as_given=as_given, selection=selection, events=TERMINAL
    )
    made = usecase.encrypt(
        card, handed, key, output, name=name, study=study, override_envelope=_reason(override or []), **options
    )
    if as_json:
        emit(made.to_json())
        return
    rows = {"query": f"{output}, {size(made.bytes)}, goes to the server"}
    rows |= {"case": f"{made.beside}, stays here", "for program": made.program[:12]}
    if made.padded:
        rows["frames"] = f"{made.real_frames} of {made.frames}"
    out().print(facts(rows))


def _reason(overrides: list[str]) -> str:
    """envelope=REASON → REASON"""
    if not overrides:
        return ""
    what, _, reason = overrides[-1].partition("=")
    if len(overrides) > 1 or what != "envelope" or not reason.strip():
        raise InputError(f"--override: got {' and '.join(map(repr, overrides))}, expected envelope=REASON")
    return reason.strip()


def _reasons(overrides: list[str]) -> dict[str, str]:
    """INPUT:envelope=REASON → {INPUT: REASON}"""
    found: dict[str, str] = {}
    for override in overrides:
        name, given, reason = override.partition(":envelope=")
        if not (name and given and reason.strip()):
            raise InputError(f"--override: got {override!r}; with --each, expected INPUT:envelope=REASON")
        if name in found:
            raise InputError(f"--override: gives two reasons for {name[:64]!r}, expected one")
        found[name] = reason.strip()
    return found
