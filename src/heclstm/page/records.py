"""What lies on disk of each study that was looked at: for its owner only, and no longer than was wanted.

workstation/ID/record.json      whose it is, how far it is, what was decided
               files/           as they were handed in, until the study is diagnosed or erased
               images.npz       the prepared frames, to be shown beside their contributions
               diagnosis.json   as `heclstm decrypt` writes it
               report.dcm, summary.dcm     of images that came as DICOM: as `heclstm export` writes them

A study that nobody asked to keep is erased when the workstation ends. After a crash it is still there, and says so.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, structs

from heclstm.data.sequence import ImageSequence
from heclstm.errors import FileFormatError, HeclstmError, InputError
from heclstm.network.site import make_private
from heclstm.report.findings import Findings
from heclstm.report.words import chance, remarks
from heclstm.storage.arrays import read_npz, write_npz
from heclstm.storage.atomic import new_file, save_file
from heclstm.storage.json import SMALL, read_json
from heclstm.storage.typed import Finite, Label, Line, Name, Share, one_line, plain, typed
from heclstm.templates.language import marked

RECORD, IMAGES, DIAGNOSIS, FILES = "record.json", "images.npz", "diagnosis.json", "files"
State = Literal["received", "running", "done", "failed"]
Day = Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?(?!\n)$")]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One study. made: UTC. patient: what he is called here; number: his ID, by which his other studies are found.
    taken: the day of the images. series, row, as_given: what was chosen to read. kept: somebody asked for it.
    query: its label, as long as it is under way. problem: why it failed.
    """

    format: Literal["heclstm-record"] = "heclstm-record"
    version: Literal[1] = 1
    id: Label
    made: Name
    state: State = "received"
    kept: bool = False
    patient: Name = ""
    number: Name = ""
    study: Name = ""
    taken: Day = ""
    series: Annotated[int, Meta(ge=0, le=100_000)] = 0
    row: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    as_given: bool = False
    burnt_in: bool = False
    override: Name = ""
    query: Label | None = None
    problem: Line = ""
    decision: Name = ""
    score: Finite | None = None
    probability: Share | None = None
    remark: Line = ""

    @property
    def day(self) -> str:
        """That of the images, or of the diagnosis where nobody knows it."""
        return self.taken or self.made[:10]

    @property
    def who(self) -> str:
        return self.number or self.patient

    def is_about(self, words: str) -> bool:
        text = " ".join((self.patient, self.number, self.study, self.day, self.decision)).casefold()
        return all(word in text for word in words.casefold().split())


class Records:
    """Threads may share it."""

    def __init__(self, site: Path) -> None:
        self.folder = site / "workstation"
        self.given = self.folder / "given"  # certificates, until a connection has taken them
        self._lock = threading.RLock()

    def all(self) -> list[Record]:
        """The newest first. What cannot be read is left out, and stays where it is."""
        found = []
        for path in self.folder.glob(f"*/{RECORD}"):
            try:
                found.append(self._read(path))
            except HeclstmError:
                continue
        return sorted(found, key=lambda each: (each.day, each.made, each.id), reverse=True)

    def get(self, id: str) -> Record | None:
        path = self.folder / id / RECORD
        known = len(id) == 32 and set(id) <= set("0123456789abcdef") and path.is_file()
        return self._read(path) if known else None

    def new(self) -> Record:
        record = Record(id=secrets.token_hex(16), made=datetime.now(UTC).isoformat(timespec="seconds"))
        for folder in (self.folder, self.folder / record.id, self.files(record.id)):
            make_private(folder)
        self._write(record)
        return record

    def change(self, id: str, **fields: Any) -> Record:
        """Raises InputError if it was erased meanwhile, or if a field cannot be so."""
        with self._lock:
            if (record := self.get(id)) is None:
                raise InputError(marked("study: was erased"))
            try:
                record = typed(plain(structs.replace(record, **fields)), Record, "study")
            except FileFormatError as error:
                raise InputError(str(error)) from error
            self._write(record)
            return record

    def erase(self, id: str) -> None:
        with self._lock:
            if self.get(id) is not None:
                shutil.rmtree(self.files(id), ignore_errors=True)  # first: what is erased in part is still listed
                for path in (self.folder / id).iterdir():
                    if path.name not in (RECORD, FILES):
                        path.unlink()
                shutil.rmtree(self.folder / id)

    def erase_unwanted(self, busy: Callable[[Record], bool]) -> None:
        """What nobody asked to keep and nothing is under way for."""
        for record in self.all():
            if not record.kept and not busy(record):
                self.erase(record.id)

    # what belongs to one

    def files(self, id: str) -> Path:
        return self.folder / id / FILES

    def inputs(self, id: str) -> list[Path]:
        """What was handed in, as it is read: the only file, or the folder of all."""
        found = sorted(self.files(id).iterdir())
        return found if len(found) == 1 else [self.files(id)]

    def keep_images(self, id: str, images: ImageSequence) -> None:
        with new_file(self.folder / id / IMAGES, 0o600) as stream:
            write_npz(stream, {"frames": images.frames, "real": np.array(images.real_frames)})

    def images(self, id: str) -> ImageSequence:
        """Raises FileFormatError."""
        found = read_npz(self.folder / id / IMAGES)
        if found.keys() != {"frames", "real"} or found["real"].shape or found["real"].dtype.kind not in "iu":
            raise FileFormatError(marked("study: its images were altered"))
        return ImageSequence(found["frames"], "study", int(found["real"]))

    def diagnosis_path(self, id: str) -> Path:
        return self.folder / id / DIAGNOSIS

    def findings(self, id: str) -> Findings:
        """Raises FileFormatError."""
        return Findings.load(self.diagnosis_path(id))

    def done(self, id: str, findings: Findings) -> None:
        """Keep a diagnosis."""
        diagnosis = findings.diagnosis
        facts = {"decision": diagnosis.decision, "score": diagnosis.score, "probability": chance(findings)}
        remark = one_line(" ".join(remarks(findings)))
        with self._lock:
            if self.get(id) is None:
                raise InputError(marked("study: was erased"))
            findings.save(self.diagnosis_path(id))
            self.change(id, state="done", query=None, problem="", remark=remark, **facts)

    def keep_export(self, id: str, files: dict[str, bytes]) -> None:
        """What a PACS would keep of it: names of files, and what they hold."""
        with self._lock:
            for name, content in files.items() if self.get(id) is not None else ():
                save_file(self.folder / id / name, content, 0o600)

    def export_path(self, id: str, name: str) -> Path | None:
        path = self.folder / id / name
        return path if path.is_file() else None

    def let_go(self, id: str) -> None:
        """Of what was handed in."""
        shutil.rmtree(self.files(id), ignore_errors=True)

    def _read(self, path: Path) -> Record:
        return typed(read_json(path, SMALL), Record, "study")

    def _write(self, record: Record) -> None:
        save_file(self.folder / record.id / RECORD, json.dumps(plain(record), indent=1) + "\n", 0o600)
