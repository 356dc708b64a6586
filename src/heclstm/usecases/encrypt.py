"""One patient's images → an encrypted query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.data.handed_in import HandedIn
from heclstm.deploy.case import Case, case_path, case_place
from heclstm.deploy.client import Client, Passphrase
from heclstm.deploy.diagnosis import require_name
from heclstm.deploy.usual import envelope_facts, first_of
from heclstm.deploy.wire import Message
from heclstm.storage.atomic import save_file
from heclstm.storage.source import Source
from heclstm.storage.typed import one_line
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.hospital import hospital


@dataclass(frozen=True, repr=False)
class Encrypted:
    """query: to be sent, or saved already as `output`. case: what `decrypt` and `report` need, saved as `beside`.

    real_frames: of so many frames, where a program takes shorter sequences (`padded`).
    """

    query: Message
    case: Case
    output: Path | None
    program: str
    images: HandedIn
    padded: bool
    beside: Path | None = None

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
        data: dict[str, Any] = {}
        if self.output:
            data = {"query": str(self.output), "case": str(self.beside)}
        data |= {"bytes": self.bytes, "program": self.program}
        data |= {"order": self.images.order, "notes": list(self.images.notes)}
        data |= {"envelope": self.case.envelope, "outside": list(self.case.outside)}
        return data | ({"frames": self.real_frames} if self.padded else {})


def encrypt(
    card: ProgramCard,
    images: HandedIn,
    key: Source | Client,
    output: Path | None = None,
    *,
    name: str = "",
    study: str = "",
    override_envelope: str = "",
    passphrase: Passphrase | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> Encrypted:
    """images: as `usecases.images` reads them for this card. key: the secret key, or a client that has it. passphrase:
    asked for that of a sealed one. name, study: what the patient's sequence is called, and where it belongs; they stay
    in the case, which lies beside `output` with the ending .case; where that of another query stands there, it stays,
    and this one is called OUTPUT-LABEL.case.

    override_envelope: why a decision is wanted about images that do not look like those of training; the report says
    so. Without it, their case allows none, and `decrypt` makes none.

    The query holds ciphertexts, the program's digest and random labels; no name, no path, no pixel. Raises
    NotAssessableError for a sequence of too few frames, before anything is encrypted.
    """
    card.operating_point(images.sequence.real_frames)
    envelope = envelope_facts(card, images.sequence, override_envelope)
    _tell(envelope, events)
    for text in (name, study, override_envelope):
        require_name(text)
    if output:
        case_path(output)  # before anything that takes long
    options: dict[str, Any] = {"passphrase": passphrase, "threads": threads, "allow_insecure": allow_insecure}
    with hospital(card, key, events=events, **options) as client:
        query = client.encrypt(images.sequence, override_envelope=override_envelope or "no decision is made")
    notes = tuple(one_line(note) for note in images.remarks)[:64]
    facts = {"order": one_line(images.order), "name": name, "study": study, "notes": notes, "files": images.files}
    case = Case.of(query.header, images.sequence, **facts, **envelope)
    beside = case_place(output, case.query) if output else None
    if output and beside:
        save_both(query, output, case, beside)
    return Encrypted(query, case, output, card.digest, images, card.padded, beside)


def _tell(envelope: Mapping[str, Any], events: Events) -> None:
    """What the hospital should know of its images before they are sent."""
    if not envelope:
        events.note("note: this program has no envelope, so images unlike those it was trained on are not noticed")
    if not envelope.get("outside"):
        return
    what = f"unlike the images that the model was trained on: {first_of(envelope['outside'])}"
    if envelope["override"]:
        events.note(f"warning: {what}; the report says that a decision was wanted nevertheless")
        return
    events.note(
        f"warning: not assessable: {what}. No decision will be made of the result; look at the images. Whoever knows "
        "better encrypts them with --override envelope=REASON, and the report says so"
    )


def save_both(query: Message, output: Path, case: Case, beside: Path) -> None:
    """The case first, since a query without one is of no use; if that one fails, the former case stands again."""
    before, former = beside.read_bytes() if beside.is_file() else None, identity(output)
    try:
        case.save(beside)
        query.save(output)
    except BaseException:
        if identity(output) != former:  # stopped when both stood already
            raise
        if before is None:
            beside.unlink(missing_ok=True)
        else:
            save_file(beside, before, 0o600)
        raise


def identity(path: Path) -> tuple[int, int, int] | None:
    """Which file that is: every one that is written here is a new one, and moved to its name. None if there is none."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_dev, known.st_ino, known.st_ctime_ns
