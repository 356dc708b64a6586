"""An encrypted result → a diagnosis."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Client
from heclstm.deploy.wire import Message
from heclstm.report.findings import Findings
from heclstm.storage.source import Source
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.private_files import warn_if_others_read


def decrypt(
    card: ProgramCard,
    result: Source,
    key: Source,
    output: Path | None = None,
    *,
    name: str = "",
    frames: int | None = None,
    query: Source | Message | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> Findings:
    """key: the secret key. name: what to call the sequence. frames: how many it had, where a program takes shorter
    sequences.

    Raises RangeError for a score outside of the calibrated range, DigestError for the result of another query than
    `query`. Nothing about a decrypted result may ever go back to the server.
    """
    with closing(Client(card, threads=threads, allow_insecure=allow_insecure)) as client:
        warn_if_others_read(key, events)
        client.load_secret_key(key)
        diagnosis = client.decrypt(result, name, frames, query=query)
        findings = Findings(diagnosis, card.purpose, card.digest)
    tell_warnings(card, events)
    if output:
        findings.save(output)
    return findings
