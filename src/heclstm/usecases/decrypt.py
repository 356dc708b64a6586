"""An encrypted result, and the case of its query → a diagnosis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.case import Case, find_case
from heclstm.deploy.client import Client, Passphrase
from heclstm.deploy.wire import Kind, Message, read_header, received
from heclstm.errors import FileFormatError, InputError
from heclstm.report.findings import Findings
from heclstm.storage.source import Source, name_of
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.hospital import hospital


def decrypt(
    card: ProgramCard,
    result: Source,
    key: Source | Client,
    output: Path | None = None,
    *,
    case: Case | Source | None = None,
    without_case: bool = False,
    name: str = "",
    frames: int | None = None,
    query: Source | Message | None = None,
    passphrase: Passphrase | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> Findings:
    """key: the secret key, or a client that has it. passphrase: asked for that of a sealed one. case: that of the
    query, its file, or a folder of such files; by default it is looked for beside result and query.

    name, frames: are in the case; given here, they must be the same. without_case: for queries of earlier releases,
    which have none; then `frames` is needed where a program takes shorter sequences, and reports cannot check images.

    Raises RangeError for a score outside of the calibrated range, DigestError for the result of another query. Nothing
    about a decrypted result may ever go back to the server.
    """
    options: dict[str, Any] = {"passphrase": passphrase, "threads": threads, "allow_insecure": allow_insecure}
    known = None if without_case else _case_of(result, case, query)
    if known is not None:
        name, frames = _agreed("name", name, known.name), _agreed("frames", frames, known.frames)
    with hospital(card, key, events=events, **options) as client:
        diagnosis = client.decrypt(result, name, frames, query=query, case=known)
    findings = Findings(diagnosis, card.purpose, card.digest, case=known)
    tell_warnings(card, events)
    if output:
        findings.save(output)
    return findings


def _case_of(result: Source, case: Case | Source | None, query: Source | Message | None) -> Case:
    """The case that was given, else the one that lies beside the result, beside the query, or where we are."""
    if isinstance(case, Case):
        return case
    folder = Path(case) if isinstance(case, str | Path) and Path(case).is_dir() else None
    if case is not None and folder is None:
        return Case.read(case)
    remedy = "give the file that `heclstm encrypt` left beside the query (--case)"
    if not isinstance(result, str | Path):
        raise InputError(f"result: comes without the case of its query; {remedy}")
    label = read_header(result, Kind.RESULT).query  # before anything that takes long
    places = [Path(each).parent for each in (result, query) if isinstance(each, str | Path)]
    places = [folder] if folder else places
    if (found := find_case(label, [*places, Path()], Path(result).name)) is None:
        with received(result, Kind.RESULT) as message:
            message.check()  # a label that was damaged on the way is not looked for
        where = " and ".join(dict.fromkeys(str(place) for place in places))
        raise FileFormatError(f"{name_of(result)}: answers query {label[:12]}, whose case is not in {where}; {remedy}")
    return found


def _agreed(what: str, given: Any, known: Any) -> Any:
    """What the case says; what it leaves open may be given."""
    if given and known and given != known:
        raise InputError(f"--{what}: is another than the case says; leave it out, or give the right case")
    return known or given
