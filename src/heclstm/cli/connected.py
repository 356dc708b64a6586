"""What the verbs of a connected hospital share: its site, and how diagnoses are told."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli import secret_words
from heclstm.cli.terminal import emit, out, table
from heclstm.errors import InputError

if TYPE_CHECKING:
    from heclstm.network.remote import Remote
    from heclstm.usecases.diagnose import Outcome

AsCsv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values on stdout, for spreadsheets.")]
Results = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIAGNOSES/", help="A folder for a diagnosis file of each (mode 0600)."),
]


def opened(
    site: Path, passphrase_file: Path | None, threads: int | None, insecure_test: bool, *, decrypts: bool = True
) -> Remote:
    """The connection that lies in a folder; asks for the passphrase if it needs one to decrypt."""
    from heclstm.network.remote import Remote
    from heclstm.network.site import Site

    word = secret_words.passphrase(passphrase_file, wanted=decrypts and Site.load(site).any_sealed)
    return Remote(site, passphrase=word, threads=threads, allow_insecure=insecure_test)


def tell(outcomes: Sequence[Outcome], *, as_json: bool, as_csv: bool) -> None:
    """All of them; then InputError if some have no diagnosis."""
    rows = [outcome.to_json() for outcome in outcomes]
    failed = [row for row in rows if "error" in row]
    if as_json:
        emit({"diagnoses": rows})
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, ["name", "decision", "score", "probability", "file", "error"])
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    else:
        shown = table("patient", "decision", "score", "probability", left=2)
        for row in rows:
            decision, score, probability = row.get("decision", "none"), row.get("score"), row.get("probability")
            shown.add_row(
                row["name"],
                decision,
                "" if score is None else f"{score:+.4f}",
                "" if probability is None else f"{100 * probability:.1f} %",
            )
        out().print(shown)
    if failed:
        told = "; ".join(f"{row['name']}: {row['error']}" for row in failed[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise InputError(f"{len(failed)} of {len(rows)} have no diagnosis: {told}{more}")


def _cell(value: object) -> object:
    """Text that begins as a formula would be run by spreadsheets; names of files may come from anybody."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
