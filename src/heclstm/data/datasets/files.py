"""Data sets that are files: a list of sequences → every file checked → patient-disjoint parts, read when needed."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from heclstm.data.datasets.patients import (
    PARTS,
    TEST,
    TRAIN,
    VALIDATION,
    Splitting,
    same_person,
    split,
    without_overlap,
)
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.reading import file_frames
from heclstm.errors import FileFormatError

LISTED = 20  # so many names in one message


@dataclass(frozen=True)
class Entry:
    """One sequence: its files in the order of time. split: the part that its publisher puts it in, or ""."""

    name: str
    patient: str
    label: int
    files: tuple[Path, ...]
    split: str = ""


@dataclass(frozen=True)
class FileOptions(Splitting):
    """skip_bad_files: leave them out with a note, instead of refusing the data set. licence, attribution: what
    models, programs and reports say about the pictures."""

    skip_bad_files: bool = False
    licence: str = ""
    attribution: str = ""


class Frames(Sequence[list[NDArray[Any]]]):
    """The raw frames of sequences, read from their files each time they are asked for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, row: int) -> list[NDArray[Any]]: ...
    @overload
    def __getitem__(self, row: slice) -> "Frames": ...
    def __getitem__(self, row: int | slice) -> "list[NDArray[Any]] | Frames":
        if isinstance(row, slice):
            return Frames(self._entries[row])
        return [frame for file in self._entries[row].files for frame in file_frames(file)]


def assemble(
    name: str,
    entries: Sequence[Entry],
    options: FileOptions,
    *,
    same: Iterable[tuple[str, str]] = (),
    notes: Iterable[str] = (),
) -> Splits:
    """Check every file, and divide the sequences.

    same: pairs of patients who are one person under two names; whoever shares an identical file counts as such
    too. A patient whom his publisher puts into several parts stays in the last of them only. Raises
    FileFormatError that lists every bad file with its reason.
    """
    notes = list(notes)
    entries, digests = _checked(name, entries, options, notes)
    if not entries:
        raise FileFormatError(f"{name}: got 0 sequences, expected some; is this the folder or manifest of the data?")
    twins = _identical(entries, digests)
    if twins:
        notes.append(
            f"{len(twins)} pairs of patients share identical files and count as one: "
            + listed(f"{first} = {second}" for first, second in twins)
        )
    person = same_person([entry.patient for entry in entries], [*same, *twins])
    entries = [replace(entry, patient=person[entry.patient]) for entry in entries]
    entries = _divided(entries, options, notes)
    parts = {part: _part([entry for entry in entries if entry.split == part]) for part in PARTS}
    return Splits(
        parts[TRAIN], parts[VALIDATION], parts[TEST], name, options.licence, options.attribution, tuple(notes)
    )


def listed(items: Iterable[str]) -> str:
    """The first few, and how many more."""
    items = list(items)
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def refuse(name: str, reasons: Sequence[str], remedy: str) -> FileFormatError:
    """One error for many reasons, each on a line of its own."""
    lines = "".join(f"\n    {reason}" for reason in reasons[:LISTED])
    more = f"\n    and {len(reasons) - LISTED} more" if len(reasons) > LISTED else ""
    return FileFormatError(f"{name}: {len(reasons)} cannot be used; {remedy}:{lines}{more}")


def _checked(
    name: str, entries: Sequence[Entry], options: FileOptions, notes: list[str]
) -> tuple[list[Entry], dict[Path, str]]:
    """Decode every file once; the entries without their bad files, and the digests of the good ones."""
    files = sorted({file for entry in entries for file in entry.files})
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter's lock
        outcomes = dict(zip(files, pool.map(_outcome, files), strict=True))
    bad = {file: reason for file, (_, reason) in outcomes.items() if reason}
    if bad and not options.skip_bad_files:
        raise refuse(f"{name}: files", list(bad.values()), "mend them, or set data.skip_bad_files = true")
    if bad:
        notes.append(f"{len(bad)} bad files are left out: {listed(bad.values())}")
    kept = [replace(entry, files=tuple(file for file in entry.files if file not in bad)) for entry in entries]
    if gone := [entry.name for entry in kept if not entry.files]:
        notes.append(f"{len(gone)} sequences have no file left: {listed(gone)}")
    return [entry for entry in kept if entry.files], {file: digest for file, (digest, _) in outcomes.items()}


def _outcome(file: Path) -> tuple[str, str]:
    """(digest, "") of a file that can be read, ("", reason) of another."""
    try:
        file_frames(file)
        return hashlib.sha256(file.read_bytes()).hexdigest(), ""
    except FileFormatError as error:
        return "", str(error)


def _identical(entries: Sequence[Entry], digests: dict[Path, str]) -> list[tuple[str, str]]:
    """Pairs of patients who share a file's content."""
    owner: dict[str, str] = {}
    pairs = set()
    for entry in entries:
        for file in entry.files:
            other = owner.setdefault(digests[file], entry.patient)
            if other != entry.patient:
                pairs.add((min(other, entry.patient), max(other, entry.patient)))
    return sorted(pairs)


def _divided(entries: list[Entry], options: FileOptions, notes: list[str]) -> list[Entry]:
    """Entries with their part. Given parts are kept, unless folds are asked for; a missing validation part is taken
    from training."""
    given = [entry.split for entry in entries]
    patients, labels = [entry.patient for entry in entries], [entry.label for entry in entries]
    withheld = {entry.patient for entry in entries if entry.split == TEST}
    if any(given) and options.folds:
        entries = [entry for entry in entries if entry.patient not in withheld]
        patients, labels = [entry.patient for entry in entries], [entry.label for entry in entries]
        notes.append(
            f"fold {options.fold} of {options.folds}, of training and validation part; the test part stays out"
        )
    if not any(given) or options.folds:
        return _with(entries, split(patients, labels, options))
    if not all(given):
        missing = [entry.name for entry in entries if not entry.split]
        raise FileFormatError(f"{listed(missing)}: the split is missing, expected one of {', '.join(PARTS)}")
    parts = without_overlap(patients, given)
    if left_out := [entry.name for entry, part in zip(entries, parts, strict=True) if not part]:
        notes.append(
            f"{len(left_out)} sequences are left out, since their patient is in a later part too: {listed(left_out)}"
        )
    entries = [entry for entry in _with(entries, parts) if entry.split]
    if VALIDATION not in given:
        train = [entry for entry in entries if entry.split == TRAIN]
        others = [entry for entry in entries if entry.split != TRAIN]
        drawn = split([e.patient for e in train], [e.label for e in train], replace(options, folds=0))
        # the test share of this division goes to training: its publisher has chosen the test part
        entries = _with(train, [part if part == VALIDATION else TRAIN for part in drawn]) + others
    return entries


def _with(entries: Sequence[Entry], parts: Sequence[str]) -> list[Entry]:
    return [replace(entry, split=part) for entry, part in zip(entries, parts, strict=True)]


def _part(entries: Sequence[Entry]) -> Part:
    return Part(
        Frames(entries),
        np.array([entry.label for entry in entries], np.int64),
        tuple(entry.patient for entry in entries),
        tuple(entry.name for entry in entries),
    )
