"""Images as they come: on the disk and in the journal before their sender is told that they were taken."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path

from heclstm.gateway.journal import Journal, Study
from heclstm.gateway.logs import log
from heclstm.network.site import make_private
from heclstm.storage.atomic import save_file

IMAGES, DIAGNOSES, REPORTS = "images", "diagnoses", "reports"
DIGITS = 16  # of the digest in a file's name


class Answer(Enum):
    """What a sender is told of an image."""

    TAKEN = "taken"
    KNOWN = "known"
    FULL = "full"
    OTHER = "another one came under the same UID"


@dataclass(frozen=True)
class Places:
    """Where things lie. Names of files are labels and hashes; all of it is for its owner alone."""

    folder: Path
    reserve_bytes: int = 0

    def make(self) -> None:
        for name in ("", IMAGES, DIAGNOSES, REPORTS):
            make_private(self.folder / name)

    def images(self, label: str) -> Path:
        return self.folder / IMAGES / label

    def image(self, label: str, file: str) -> Path:
        return self.images(label) / file

    def diagnosis(self, label: str, images: str) -> Path:
        return self.folder / DIAGNOSES / f"{label}-{images[:16]}.json"

    def report(self, label: str, images: str, name: str) -> Path:
        return self.folder / REPORTS / f"{label}-{images[:16]}-{name}"

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def has_room(self, size: int) -> bool:
        return self.free_bytes >= self.reserve_bytes + size

    def erase_images(self, label: str, files: list[str]) -> None:
        for file in files:
            self.image(label, file).unlink(missing_ok=True)
        with suppress(OSError):  # another one came meanwhile
            self.images(label).rmdir()

    def tidy(self, journal: Journal) -> None:
        """Remove what a killed process left: half-written files, images whose sender was never answered. At a start."""
        for name in (DIAGNOSES, REPORTS):
            for path in (self.folder / name).glob(".heclstm-*"):
                path.unlink(missing_ok=True)
        for folder in (self.folder / IMAGES).iterdir():
            known = journal.files(folder.name)
            for path in folder.iterdir():
                if path.name not in known:
                    path.unlink(missing_ok=True)
            with suppress(OSError):  # others lie there
                folder.rmdir()

    def erase_results(self, label: str) -> None:
        for folder in (DIAGNOSES, REPORTS):
            for path in (self.folder / folder).glob(f"{label}-*"):
                path.unlink(missing_ok=True)


@dataclass(frozen=True, repr=False)
class Image:
    """As it was sent. data: without the head of a file, which senders write differently. whole: the file."""

    study: str
    instance: str
    data: bytes | memoryview
    whole: bytes


def take(image: Image, journal: Journal, places: Places) -> Answer:
    """Raises OutputError if it cannot be kept: its sender has to send it again."""
    if journal.is_own(image.instance):  # a PACS that hands on whole studies
        return Answer.KNOWN
    label, digest = journal.label_of(image.study), sha256(image.data).hexdigest()
    kept = journal.image(image.study, image.instance)
    study = journal.study(label)
    there = kept is not None and kept.present and as_it_came(places.image(label, kept.file))
    if kept is not None and kept.digest == digest and (there or not _is_wanted(study)):
        return Answer.KNOWN
    if not places.has_room(len(image.whole)):
        return Answer.FULL
    file = f"{journal.key(image.study, image.instance)[:24]}-{sha256(image.whole).hexdigest()[:DIGITS]}.dcm"
    if kept is None or kept.digest == digest:
        make_private(places.images(label))
        save_file(places.image(label, file), image.whole, 0o600)
        if journal.arrived(image.study, image.instance, digest, file):
            return Answer.TAKEN
    journal.disputed(image.study, image.instance)
    log("aside", study=label, reason="two images of one UID")
    return Answer.OTHER


def as_it_came(path: Path) -> bool:
    """Whether an image lies there, and nobody has changed it since: the name of its file tells what is in it. Those of
    earlier releases cannot tell.
    """
    told = path.stem.rpartition("-")[2]
    try:
        return path.is_file() and (len(told) != DIGITS or sha256(path.read_bytes()).hexdigest().startswith(told))
    except OSError:
        return False


def _is_wanted(study: Study | None) -> bool:
    """Whether images that were erased are needed again: others of the study came, or somebody asked for it."""
    return study is not None and study.state in ("collecting", "aside")
