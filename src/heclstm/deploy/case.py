"""What a hospital must remember of a query, so that its result is read for the right patient: nothing is typed twice.

A case is private: it holds a name, a study, and what tells the images again. It lies beside the query, mode 0600, and
never leaves the hospital. Neither server nor result knows any of it. Its file carries its own digest: a digit that was
changed by hand or on a disk (of the number of frames, say) would change a decision.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from os.path import lexists
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from heclstm.data.sequence import ImageSequence
from heclstm.deploy.wire import Header
from heclstm.errors import DigestError, FileFormatError, HeclstmError, OutputError
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, digest_of, read_json
from heclstm.storage.source import Source, name_of
from heclstm.storage.typed import Digest, Label, Line, Name, plain, typed

FORMAT, VERSION, ENDING = "heclstm-case", 1, ".case"
CASES_MAX = 10_000  # of a folder that is looked through
FILES_MAX = 1 << 14  # of one sequence

Frames = Annotated[int, Meta(ge=1, le=1 << 16)]


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """program, key, query: digest and labels, as in the header of the query. images: `images_digest`.

    files: SHA-256 of each file that the images came from, as `sha256sum` prints it, in their order: tells the originals
    again. frames: how many were real. order: why they stand as they do, in words. envelope: whether the images looked
    like those of training, where the program can tell. outside: what did not, in words. override: why a decision about
    them is wanted nevertheless; without it there is none. notes: what else was said about the images.
    """

    program: Digest
    key: Label
    query: Label
    images: Digest
    frames: Frames
    order: Line = ""
    name: Name = ""
    study: Name = ""
    envelope: Literal["inside", "outside", "unknown"] = "unknown"
    outside: Annotated[tuple[Line, ...], Meta(max_length=64)] = ()
    override: Name = ""
    notes: Annotated[tuple[Line, ...], Meta(max_length=64)] = ()
    files: Annotated[tuple[Digest, ...], Meta(max_length=FILES_MAX)] = ()

    @classmethod
    def of(cls, query: Header, sequence: ImageSequence, **facts: Any) -> Case:
        """facts: fields from `order` on."""
        real = len(sequence) if sequence.real_frames is None else sequence.real_frames
        return cls(
            program=query.program,
            key=query.key,
            query=query.query,
            images=images_digest(sequence),
            frames=real,
            **facts,
        )

    @property
    def withheld(self) -> bool:
        """Whether no decision is made: the images are unlike those of training, and nobody said why one should be."""
        return self.envelope == "outside" and not self.override

    def to_json(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {"format": FORMAT, "version": VERSION, **plain(self)}

    def save(self, path: Path) -> None:
        """For its owner only."""
        data = self.to_json()
        data["digest"] = digest_of(data)
        save_file(path, json.dumps(data, indent=1) + "\n", 0o600)

    @classmethod
    def read(cls, source: Source) -> Case:
        """Raises FileFormatError; DigestError where the file was changed (earlier ones cannot tell)."""
        data, name = read_json(source, SMALL), name_of(source)
        digest = data.pop("digest", None)
        changed = digest is not None and digest != digest_of(data)
        if (found := data.pop("format", None)) != FORMAT or data.pop("version", None) != VERSION:
            raise FileFormatError(f"{name}: is a {str(found)[:40]!r}, expected {FORMAT!r} of version {VERSION}")
        if changed:
            raise DigestError(
                f"{name}: was changed since it was written; take a copy of it, or encrypt the images again"
            )
        return typed(data, cls, name)

    def require(self, result: Header, name: Path | str) -> None:
        """Raise DigestError unless this is the case of the query that the result answers."""
        for what, got, expected in (
            ("query", result.query, self.query),
            ("program", result.program, self.program),
            ("key", result.key, self.key),
        ):
            if got != expected:
                raise DigestError(
                    f"{name}: answers {what} {got[:12]}, but the case is that of {what} {expected[:12]}; give the case "
                    "that `heclstm encrypt` left beside the query"
                )

    def require_images(self, sequence: ImageSequence, files: Sequence[str] = ()) -> None:
        """Raise DigestError unless these are the images that were encrypted, prepared in the same way.

        files: SHA-256 of each file that they came from, to say which of them are others.
        """
        if images_digest(sequence) != self.images:  # which tells how many frames are real, too
            raise DigestError(
                f"{sequence.name}: are not the images that were encrypted for this result{self._what_differs(files)}; "
                f"give those of query {self.query[:12]}, in the same order"
            )

    def other_files(self, files: Sequence[str]) -> int:
        """How many of these are not among the files that were encrypted; 0 where nobody knows."""
        return sum(file not in self.files for file in files) if self.files else 0

    def _what_differs(self, files: Sequence[str]) -> str:
        if not files or not self.files:
            return ""
        if other := self.other_files(files):
            return f": {other} of {len(files)} files are others"
        if missing := len(set(self.files) - set(files)):
            return f": {missing} of {len(self.files)} files are missing"
        return ": the files are the same, but stand in another order or are prepared in another way"


def case_path(query: Path) -> Path:
    """Where the case of this query lies: query.he → query.case. Raises OutputError if that is the query's own name."""
    path = query.with_suffix(ENDING)
    if path == query:
        raise OutputError(f"{query}: is the name of the case beside the query, expected another ending, such as .he")
    return path


def case_place(query: Path, label: str) -> Path:
    """Where the case of a query that is written here now goes: never in place of another one, even where the query is
    replaced, for that may have been sent, and its result is read with the case that stands there. q.bin beside q.he,
    or another patient's q.he, leave q.case alone and get q-LABEL.case; a result finds its case by the label.
    """
    path = case_path(query)
    if not lexists(path):
        return path
    with suppress(HeclstmError, OSError):
        if Case.read(path).query == label:
            return path
    return path.with_stem(f"{query.stem}-{label[:12]}")


def find_case(query: str, folders: Iterable[Path], near: str = "") -> Case | None:
    """The case of the query with this label, among the files that lie in these folders; None if it is not there.

    near: the name of the result; files whose names it begins with are looked at first. Raises DigestError if it is not
    there, but a file that was changed, and may be it.
    """
    changed: DigestError | None = None
    for folder in dict.fromkeys(folders):
        paths = sorted(folder.glob(f"*{ENDING}"), key=lambda path: (not near.startswith(path.stem), path))
        for number, path in enumerate(paths):
            if number == CASES_MAX:
                raise FileFormatError(f"{folder}: holds more than {CASES_MAX} cases; say which one it is")
            try:
                case = Case.read(path)
            except DigestError as error:
                changed = changed or error
                continue
            except FileFormatError:
                continue  # that of another program, perhaps
            if case.query == query:
                return case
    if changed:
        raise changed
    return None


def images_digest(sequence: ImageSequence) -> str:
    """SHA-256 of the prepared images, with their sizes and how many are real. Without the images it tells nothing."""
    real = len(sequence) if sequence.real_frames is None else sequence.real_frames
    digest = sha256(f"heclstm images {sequence.frames.shape} {real}\n".encode())
    digest.update(np.ascontiguousarray(sequence.frames, dtype="<f4").tobytes())
    return digest.hexdigest()
