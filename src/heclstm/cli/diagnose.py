"""heclstm diagnose"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heclstm.cli.connected import AsCsv, Results, opened, tell_diagnoses
from heclstm.cli.options import (
    SITE,
    AsGiven,
    AsJson,
    InsecureTest,
    Select,
    Series,
    SiteFolder,
    Threads,
)
from heclstm.cli.passphrase import PassphraseFile
from heclstm.cli.terminal import TERMINAL
from heclstm.cli.verb import verb
from heclstm.errors import InputError


@verb(after="connect")
def diagnose(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="One patient each: a folder, .zip, DICOMDIR, .npy; all of a manifest (.csv)."
        ),
    ],
    site: SiteFolder = SITE,
    output: Results = None,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", "-i", min=0, help="Which patients, if one FILE holds many; may be given often."),
    ] = None,
    study: Annotated[str, typer.Option("--study", help="Where they belong, in your words; stays here.")] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after an earlier call: who has a diagnosis in -o is not sent again.")
    ] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="How many patients at a time.")] = 4,
    as_given: AsGiven = False,
    select: Select = None,
    series: Series = 0,
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Hospital: diagnose many patients by the server that this site is connected to.

    Encrypts each, sends it, waits, and decrypts; of a manifest, all its sequences, of a NumPy file all its
    rows. What fails for one patient stops no
    other. If it is stopped, what was sent goes on at the server, and the same with --resume reads
    the results and does the rest. Names and images stay here.

    Example:

        heclstm diagnose patients/* --site site -o diagnoses/
    """
    if resume and output is None:
        raise InputError("--resume: looks at diagnoses of an earlier call; give their folder by -o")
    from heclstm.usecases import diagnose as usecase
    from heclstm.usecases.images import selection_of

    with opened(site, passphrase_file, threads, insecure_test) as remote:
        patients = usecase.patients_of(files, remote.hospital.site.card(), index or ())
        options: dict[str, Any] = {"study": study, "at_once": at_once, "as_given": as_given, "events": TERMINAL}
        options["selection"] = selection_of(select, series)
        if resume and output:
            outcomes = usecase.resume(remote, patients, output, **options)
        else:
            outcomes = usecase.diagnose(remote, patients, output, **options)
    tell_diagnoses(outcomes, as_json=as_json, as_csv=as_csv)
