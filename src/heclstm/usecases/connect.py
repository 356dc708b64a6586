"""A URL → a verified server, a verified program, and keys that lie there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Passphrase
from heclstm.network import keyring
from heclstm.network.hospital import Connection, Hospital
from heclstm.network.patience import DEFAULT, Patience
from heclstm.network.site import OWNER
from heclstm.network.steps import OnProgress
from heclstm.network.transport import Certificate, Transport
from heclstm.network.trust import Wish, find_program, take
from heclstm.storage.atomic import sole_writer
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.events import SILENT, Events, Update


@dataclass(frozen=True)
class Connected:
    """certificate: None for a server on this machine without TLS."""

    connection: Connection
    certificate: Certificate | None
    security: str

    def to_json(self) -> dict[str, Any]:
        made, shown = self.connection, self.certificate
        return {
            "url": made.url,
            "program": made.program,
            "name": made.name,
            "signed_by": made.signed_by,
            "security": self.security,
            "key": made.key,
            "new_key": made.new_key,
            "key_bytes": made.key_bytes,
            "certificate": None
            if shown is None
            else {"names": shown.subject, "issuer": shown.issuer, "expires": shown.expires, "sha256": shown.sha256},
        }


@dataclass(frozen=True, repr=False)
class Offer:
    """What a server shows before anything is made for it: its certificate, if it has one, and a verified program."""

    certificate: Certificate | None
    card: ProgramCard
    vouched: bool


def look(wish: Wish, *, patience: Patience = DEFAULT) -> Offer:
    """Ask a server and verify what it says, and write nothing down. vouched: the model owner whom `wish` trusts signed
    the program. Raises as `connect`.
    """
    before = wish.site()
    with closing(Transport(wish.route(before))) as transport:
        taken = transport.run(find_program(wish, before, patience))
        vouched = wish.trust is not None or (before is not None and before.file(OWNER) is not None)
        return Offer(transport.certificate, taken.card, vouched)


def connect(
    wish: Wish,
    *,
    passphrase: Passphrase | None = None,
    seal: bool = False,
    keep: bool = False,
    threads: int | None = None,
    patience: Patience = DEFAULT,
    events: Events = SILENT,
) -> Connected:
    """Checks certificate, card, the owner's signature and the security table, in this order; makes keys; uploads them.
    Called again, it goes on where it was stopped.

    seal: a new secret key by the passphrase, which is asked for then. keep: it in the system's keyring. Raises
    NetworkError, DigestError, SignatureError, SecurityError or KeyringError.
    """
    if keep:
        keyring.require()
    before = wish.site()
    with closing(Transport(wish.route(before))) as transport:
        taken = transport.run(find_program(wish, before, patience))
        certificate = transport.certificate
    site = take(wish, before, taken)
    card = taken.card
    if taken.successor_of:
        events.note(f"program {taken.successor_of[:12]} is replaced by {card.digest[:12]}; new keys are needed for it")
    if site.file(OWNER) is None:
        events.note("note: nobody vouches for this program; give the model owner's public key by --trust")
    tell_warnings(card, events)
    options: dict[str, Any] = {"passphrase": passphrase, "threads": threads, "patience": patience}
    options["allow_insecure"] = wish.allow_insecure
    with (
        sole_writer(site.folder),
        closing(Hospital(site, **options)) as hospital,
        closing(Transport(site.route())) as transport,
        stages(events) as titled,
    ):
        steps = hospital.connect(card, titled("making keys"), titled("uploading keys"), seal=seal)
        connection = transport.run(steps)
        if keep:
            hospital.keep_passphrase()
        return Connected(connection, certificate, card.parameters.security)


class Titled:
    """Makes stages of the progress that a conversation tells: one begins when its first progress comes."""

    def __init__(self, events: Events, stack: ExitStack) -> None:
        self._events, self._stack = events, stack
        self._title = ""
        self._update: Update = lambda done, total: None

    def __call__(self, title: str) -> OnProgress:
        def told(done: float, total: float) -> None:
            if title != self._title:
                self._stack.close()
                self._title, self._update = title, self._stack.enter_context(self._events.stage(title))
            self._update(done, total)

        return told


@contextmanager
def stages(events: Events) -> Iterator[Titled]:
    with ExitStack() as stack:
        yield Titled(events, stack)
