"""Many encrypted results → a diagnosis for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Passphrase
from heclstm.report.findings import Findings
from heclstm.storage.source import Source
from heclstm.usecases.decrypt import decrypt
from heclstm.usecases.each import Outcome, Told, attempt, named
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.hospital import hospital


def decrypt_each(
    card: ProgramCard,
    results: Sequence[Path],
    key: Source,
    folder: Path | None = None,
    *,
    case: Path | None = None,
    without_case: bool = False,
    frames: int | None = None,
    passphrase: Passphrase | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> list[Outcome[Findings]]:
    """folder: where diagnoses go, if anywhere: q.result.he becomes q.json. case: the folder of the queries' cases."""
    files = named(results, folder or Path(), ".json")
    told = Told(events)
    options: dict[str, Any] = {"passphrase": passphrase, "threads": threads, "allow_insecure": allow_insecure}
    outcomes = []
    with hospital(card, key, events=events, **options) as client, events.stage(f"decrypting {len(files)}") as update:
        for done, (result, file) in enumerate(files.items()):

            def work(result: Path = result, file: Path = file) -> Findings:
                place = file if folder else None
                return decrypt(
                    card, result, client, place, case=case, without_case=without_case, frames=frames, events=told
                )

            outcomes.append(attempt(str(result), work, events))
            update(done + 1, len(files))
    return outcomes
