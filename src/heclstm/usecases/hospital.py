"""A hospital's client with its secret key loaded: for one patient, or for many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Client, Passphrase
from heclstm.storage.source import Source
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.private_files import warn_if_others_read


@contextmanager
def hospital(
    card: ProgramCard,
    key: Source | Client,
    *,
    passphrase: Passphrase | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> Iterator[Client]:
    """key: a secret key, or a client that has one already, which then stays open. passphrase: asked for that of a
    sealed key.
    """
    if isinstance(key, Client):
        yield key
        return
    with closing(Client(card, threads=threads, allow_insecure=allow_insecure)) as client:
        warn_if_others_read(key, events)
        client.load_secret_key(key, passphrase)
        yield client
