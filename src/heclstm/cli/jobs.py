"""heclstm jobs"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.connected import AsCsv, Results, opened, tell_diagnoses
from heclstm.cli.options import SITE, AsJson, InsecureTest, SiteFolder, Threads
from heclstm.cli.passphrase import PassphraseFile
from heclstm.cli.terminal import TERMINAL, emit, note, out, seconds, table
from heclstm.cli.verb import verb

if TYPE_CHECKING:
    from heclstm.usecases.hospital_jobs import Row


@verb(after="gateway")
def jobs(
    site: SiteFolder = SITE,
    collect: Annotated[bool, typer.Option("--collect", help="Wait for all, and decrypt their results.")] = False,
    cancel: Annotated[
        str, typer.Option("--cancel", metavar="NAME", help="Erase one that is under way, here and at the server.")
    ] = "",
    output: Results = None,
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Hospital: show what is under way at the server, with the names that only this site knows.

    What an interrupted `diagnose` has sent, or was about to, is read by --collect.

    Example:

        heclstm jobs --collect -o diagnoses/
    """
    from heclstm.usecases import diagnose, hospital_jobs
    from heclstm.usecases.rotate import settle

    with opened(site, passphrase_file, threads, insecure_test) as remote:
        if cancel:
            gone = hospital_jobs.cancel(remote, cancel)
            note(f"{gone.name or gone.query[:12]}: erased, here and at the server")
        elif collect and not remote.hospital.pending.all() and not as_json:
            settle(remote, events=TERMINAL)
            note("nothing is under way")
        elif collect:
            outcomes = diagnose.collect(remote, remote.hospital.pending.all(), output, events=TERMINAL)
            settle(remote, events=TERMINAL)
            tell_diagnoses(outcomes, as_json=as_json, as_csv=as_csv)
        else:
            found = hospital_jobs.jobs(remote)
            if as_json:
                emit({"jobs": [row.to_json() for row in found]})
            else:
                _print(found)


def _print(rows: list[Row]) -> None:
    if not rows:
        note("nothing is under way")
        return
    shown = table("patient", "state", "done", "left", left=2)
    for row in rows:
        job, name = row.job, row.pending.name or row.pending.query[:12] if row.pending else "of another site"
        left = "" if job is None or job.seconds_left is None or job.ended else seconds(job.seconds_left)
        shown.add_row(name, row.state, "" if job is None else f"{100 * job.progress:.0f} %", left)
    out().print(shown)
    if lost := [row.pending for row in rows if row.state == "lost" and row.pending]:
        names = ", ".join(each.name or each.query[:12] for each in lost)
        note(
            f"lost: the server does not have {'it' if len(lost) == 1 else 'them'} any more ({names}); send the images "
            "again, and erase the entry by `heclstm jobs --cancel NAME`"
        )
