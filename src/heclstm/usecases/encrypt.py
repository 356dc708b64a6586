"""One patient's images → an encrypted query."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.data.handed_in import HandedIn
from heclstm.deploy.client import Client
from heclstm.deploy.wire import Message
from heclstm.storage.source import Source
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.private_files import warn_if_others_read


@dataclass(frozen=True, repr=False)
class Encrypted:
    """query: to be sent, or saved already as `output`. real_frames: of so many frames; where a program takes shorter
    sequences (`padded`), `decrypt` must be told.
    """

    query: Message
    output: Path | None
    program: str
    images: HandedIn
    padded: bool

    @property
    def bytes(self) -> int:
        return self.query.header.total_bytes

    @property
    def frames(self) -> int:
        return len(self.images.sequence)

    @property
    def real_frames(self) -> int:
        real = self.images.sequence.real_frames
        return self.frames if real is None else real

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"query": str(self.output)} if self.output else {}
        data |= {"bytes": self.bytes, "program": self.program}
        data |= {"order": self.images.order, "notes": list(self.images.notes)}
        return data | ({"frames": self.real_frames} if self.padded else {})


def encrypt(
    card: ProgramCard,
    images: HandedIn,
    key: Source,
    output: Path | None = None,
    *,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> Encrypted:
    """images: as `usecases.images` reads them for this card. key: the secret key.

    The query holds ciphertexts, the program's digest and random labels; no name, no path, no pixel.
    """
    with closing(Client(card, threads=threads, allow_insecure=allow_insecure)) as client:
        warn_if_others_read(key, events)
        client.load_secret_key(key)
        query = client.encrypt(images.sequence, output)
    return Encrypted(query, output, card.digest, images, card.padded)
