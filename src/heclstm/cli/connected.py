"""What the verbs of a connected hospital share: its site, and how diagnoses are told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.each import tell_each
from heclstm.cli.ending import FAILED, UNDECIDED
from heclstm.cli.passphrase import passphrase
from heclstm.errors import NotAssessableError
from heclstm.usecases.spreadsheet import csv_of

if TYPE_CHECKING:
    from heclstm.network.remote import Remote
    from heclstm.usecases.diagnose import Diagnosed
    from heclstm.usecases.each import Outcome

AsCsv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values on stdout, for spreadsheets.")]
Results = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIAGNOSES/", help="A folder for a diagnosis file of each (mode 0600)."),
]


def opened(site: Path, passphrase_file: Path | None, threads: int | None, insecure_test: bool) -> Remote:
    """The connection that lies in a folder; the passphrase of a sealed key is asked for when it is needed."""
    from heclstm.network.remote import Remote
    from heclstm.network.site import Site

    words = passphrase(passphrase_file, keyring=Site.load(site).kept_passphrase())
    return Remote(site, passphrase=words, threads=threads, allow_insecure=insecure_test)


def tell_diagnoses(outcomes: Sequence[Outcome[Diagnosed]], *, as_json: bool, as_csv: bool) -> None:
    """All of them. Ends with exit code 2 if one failed, 3 if one has no decision."""
    failed = any(each.failed and not isinstance(each.error, NotAssessableError) for each in outcomes)
    undecided = any(
        isinstance(each.error, NotAssessableError) or each.made and not each.made.findings.diagnosis.decided
        for each in outcomes
    )
    from heclstm.report.words import remarks

    if as_csv:
        _print_csv(outcomes)
    else:
        try:
            columns = ("decision", "score", "probability")
            tell_each(outcomes, _row, columns, as_json=as_json, remarks=lambda made: remarks(made.findings))
        except typer.Exit:
            if failed:
                raise
    if failed:
        raise typer.Exit(FAILED)
    if undecided:
        raise typer.Exit(UNDECIDED)


def _row(made: Diagnosed) -> tuple[str, str, str]:
    from heclstm.report.words import chance
    from heclstm.templates.units import percent

    diagnosis, found = made.findings.diagnosis, chance(made.findings)
    share = "" if found is None else percent(found)
    return diagnosis.decision, f"{diagnosis.score:+.3f}", share


def _print_csv(outcomes: Sequence[Outcome[Diagnosed]]) -> None:
    rows = []
    for each in outcomes:
        row = each.to_json() | ({"error": str(each.error)} if each.error else {})
        row["remarks"] = " ".join(row.get("remarks", ()))
        rows.append(row | ({"file": str(each.kept)} if each.kept else {}))
    sys.stdout.write(csv_of(rows, ["input", "decision", "score", "probability", "file", "error", "remarks"]))
