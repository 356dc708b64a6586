"""What an operator asks a gateway's journal: how far studies are, and why some were put aside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from heclstm.errors import InputError
from heclstm.gateway.arrivals import Places
from heclstm.gateway.config import Config
from heclstm.gateway.journal import UNDER_WAY, Journal


def status_of(journal: Journal) -> Iterator[str]:
    """Counts, then a line for each study that waits after a failure or was put aside; no name of a patient."""
    yield ", ".join(f"{count} {state}" for state, count in journal.counts().items())
    for state in (*UNDER_WAY, "aside"):
        for study in journal.all(state):  # type: ignore[arg-type]
            if study.reason:
                since = datetime.fromtimestamp(study.changed).isoformat(" ", "seconds")
                yield f"{study.label}  {study.state}  since {since}  {study.reason}"


def erased(journal: Journal, config: Config, label: str) -> None:
    """Forget a study and all its files. Raises InputError unless it rests."""
    study = journal.study(label)
    if study is None or study.state in UNDER_WAY:
        raise InputError(f"--erase: no study {label[:32]!r} rests; --status lists those that were put aside")
    places = Places(config.folder)
    places.erase_images(label, journal.forget_images(study))
    places.erase_results(label)
    journal.forget(study)
