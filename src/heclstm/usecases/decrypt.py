"""An encrypted result → a diagnosis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Client, Passphrase
from heclstm.deploy.wire import Message
from heclstm.report.findings import Findings
from heclstm.storage.source import Source
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.hospital import hospital


def decrypt(
    card: ProgramCard,
    result: Source,
    key: Source | Client,
    output: Path | None = None,
    *,
    name: str = "",
    frames: int | None = None,
    query: Source | Message | None = None,
    passphrase: Passphrase | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> Findings:
    """key: the secret key, or a client that has it. passphrase: asked for that of a sealed one. name: what to call the
    sequence. frames: how many it had, where a program takes shorter sequences.

    Raises RangeError for a score outside of the calibrated range, DigestError for the result of another query than
    `query`. Nothing about a decrypted result may ever go back to the server.
    """
    options: dict[str, Any] = {"passphrase": passphrase, "threads": threads, "allow_insecure": allow_insecure}
    with hospital(card, key, events=events, **options) as client:
        diagnosis = client.decrypt(result, name, frames, query=query)
        findings = Findings(diagnosis, card.purpose, card.digest)
    tell_warnings(card, events)
    if output:
        findings.save(output)
    return findings
