"""Data sets that are files: a list of sequences → each read once → patient-disjoint parts, read again when needed."""

import hashlib
import re
from collections import Counter, defaultdict
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
from heclstm.data.decoded import DECODED
from heclstm.data.dicom import Selection
from heclstm.data.images import Images, read_images, read_listed
from heclstm.data.manifest import spelling
from heclstm.errors import FileFormatError, ModelError, SequenceError

LISTED = 20  # so many names in one message
EXAMPLES = 5  # and so many for each kind of problem
LENGTHS_MIN, LENGTH_TELLS = 10, 0.4  # sequences of a class; an AUC of 0.7 or 0.3 by the number of frames alone


@dataclass(frozen=True)
class Entry:
    """One sequence. order: why its files stand as they do; "" where the rules of `data.order` shall tell, as they do
    when it is served. split: the part that its publisher puts it in, or "". group: what must not be divided besides
    the patient, such as a hospital, or ""."""

    name: str
    patient: str
    label: int
    files: tuple[Path, ...]
    split: str = ""
    order: str = ""
    group: str = ""

    def read(self, selection: Selection) -> Images:
        """Raises FileFormatError or SequenceError."""
        return DECODED.get((self.files, self.order, selection), lambda: self._read(selection))

    def _read(self, selection: Selection) -> Images:
        if self.order:
            return read_listed(self.files, self.order, selection)
        return read_images(self.files, selection=selection)


@dataclass(frozen=True)
class FileOptions(Splitting):
    """skip_bad_files: leave them out with a note, instead of refusing the data set. fewest_frames: sequences with fewer
    are left out with a note, as a network of an exact number of frames cannot take them. select: a TOML file with the
    rules of `data.dicom.selection`, for data sets of DICOM files. licence, attribution: what models, programs and
    reports say about the pictures."""

    skip_bad_files: bool = False
    fewest_frames: int = 1
    select: str = ""
    licence: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.fewest_frames, int) or self.fewest_frames < 1:
            raise ModelError(f"data.fewest_frames: got {self.fewest_frames!r}, expected a whole number of at least 1")


class Frames(Sequence[list[NDArray[Any]]]):
    """The raw frames of sequences, read from their files each time they are asked for."""

    def __init__(self, entries: Sequence[Entry], selection: Selection) -> None:
        self._entries = tuple(entries)
        self._selection = selection

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, row: int) -> list[NDArray[Any]]: ...
    @overload
    def __getitem__(self, row: slice) -> "Frames": ...
    def __getitem__(self, row: int | slice) -> "list[NDArray[Any]] | Frames":
        if isinstance(row, slice):
            return Frames(self._entries[row], self._selection)
        return list(self._entries[row].read(self._selection).frames)


def assemble(
    name: str,
    entries: Sequence[Entry],
    options: FileOptions,
    *,
    same: Iterable[tuple[str, str]] = (),
    notes: Iterable[str] = (),
) -> Splits:
    """Read every sequence once, and divide them.

    same: pairs of patients who are one person under two names; whoever shares a file, or a picture pixel by pixel,
    counts as such too. A patient whom his publisher puts into several parts stays in the last of them only. Raises
    FileFormatError that lists every bad file with its reason.
    """
    notes, selection = list(notes), Selection.load(Path(options.select)) if options.select else Selection()
    entries, digests = _checked(name, entries, options, selection, notes)
    if not entries:
        raise FileFormatError(f"{name}: got 0 sequences, expected some; is this the folder or manifest of the data?")
    _require_one_spelling(name, entries)
    twins, silent = _identical(entries, digests, selection)
    _tell_twins(entries, digests, silent, notes)
    if silent:
        notes.append(
            f"{len(silent)} blank pictures stand in series of several patients, and say nothing about who they are"
        )
    if twins:
        notes.append(
            f"{len(twins)} pairs of patients share identical pictures and count as one: "
            + listed(f"{first} = {second}" for first, second in twins)
        )
    person = same_person([entry.patient for entry in entries], [*same, *twins])
    entries = [replace(entry, patient=person[entry.patient]) for entry in entries]
    entries = _divided(entries, options, notes)
    if len(entries) > 1 and len(set(_undivided(entries))) == 1:
        notes.append(f"all {len(entries)} sequences are of one patient or group, which is never divided")
    parts = {part: _part([entry for entry in entries if entry.split == part], selection) for part in PARTS}
    return Splits(
        parts[TRAIN], parts[VALIDATION], parts[TEST], name, options.licence, options.attribution, tuple(notes)
    )


def listed(items: Iterable[str]) -> str:
    """The first few, and how many more."""
    items = list(items)
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def refuse(name: str, problems: Iterable[tuple[str, str]], remedy: str) -> FileFormatError:
    """One error for many pairs of (what, why): a line for each kind of why, with examples."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for what, why in problems:
        kinds[why].append(what)
    lines = [f"\n    {_examples(whats)}: {why}" for why, whats in kinds.items()]
    more = f"\n    and {len(lines) - LISTED} more kinds" if len(lines) > LISTED else ""
    count = sum(map(len, kinds.values()))
    return FileFormatError(f"{name}: {count} cannot be used; {remedy}:{''.join(lines[:LISTED])}{more}")


def _examples(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


@dataclass(frozen=True)
class Content:
    """Digests of a file's pixels, which stay the same if it is written anew, and of its bytes, which do however its
    series is shown."""

    pixels: str
    file: str


@dataclass
class _Seen:
    """What came of reading one sequence: digests of its good files, and why others cannot be read."""

    digests: dict[Path, Content]
    bad: dict[Path, str]
    wrong: str = ""
    order: str = ""
    notes: tuple[str, ...] = ()
    frames: int = 0


def _checked(
    name: str, entries: Sequence[Entry], options: FileOptions, selection: Selection, notes: list[str]
) -> tuple[list[Entry], dict[Path, Content]]:
    """Decode every sequence once; those that are left without bad files, and the digests of the good ones."""
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter's lock
        seen = list(pool.map(lambda entry: _seen(entry, selection), entries))
    bad = {file: why for each in seen for file, why in each.bad.items()}
    wrong = {entry.name: each.wrong for entry, each in zip(entries, seen, strict=True) if each.wrong}
    if bad and not options.skip_bad_files:
        problems = [(str(file), why) for file, why in sorted(bad.items())]
        raise refuse(f"{name}: files", problems, "mend them, or set data.skip_bad_files = true")
    if wrong and not options.skip_bad_files:
        raise refuse(f"{name}: sequences", wrong.items(), "mend them, or set data.skip_bad_files = true")
    if bad:
        notes.append(f"{len(bad)} bad files are left out: {listed(f'{file}: {why}' for file, why in bad.items())}")
        cut = [replace(entry, files=tuple(file for file in entry.files if file not in bad)) for entry in entries]
        if gone := [entry.name for entry in cut if not entry.files]:
            notes.append(f"{len(gone)} sequences have no file left: {listed(gone)}")
        return _checked(name, [entry for entry in cut if entry.files], options, selection, notes)
    if wrong:
        notes.append(f"{len(wrong)} sequences are left out: {listed(f'{what}: {why}' for what, why in wrong.items())}")
    kept = [(entry, each) for entry, each in zip(entries, seen, strict=True) if not each.wrong]
    if short := [entry.name for entry, each in kept if each.frames < options.fewest_frames]:
        fewest = options.fewest_frames
        notes.append(f"{len(short)} sequences have fewer than {fewest} frames and are left out: {listed(short)}")
        kept = [(entry, each) for entry, each in kept if each.frames >= fewest]
    notes += _said([each for _, each in kept])
    notes += _length_tells([(entry.label, each.frames) for entry, each in kept])
    return [entry for entry, _ in kept], {file: digest for _, each in kept for file, digest in each.digests.items()}


def _seen(entry: Entry, selection: Selection) -> _Seen:
    try:
        images = entry.read(selection)
    except (FileFormatError, SequenceError) as error:
        bad = {file: why for file in entry.files if (why := _unreadable(file, selection))}
        return _Seen({}, bad, "" if bad else str(error))
    return _Seen(_digests(entry, images), {}, "", images.order, images.notes, len(images.frames))


def _digests(entry: Entry, images: Images) -> dict[Path, Content]:
    shown = {file: hashlib.sha256() for file in entry.files}
    for frame, origin in zip(images.frames, images.origins, strict=True):
        if origin.source.path in shown:
            shown[origin.source.path].update(f"{frame.shape}".encode() + np.ascontiguousarray(frame).tobytes())
    files = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in entry.files}
    seen = {origin.source.path for origin in images.origins}  # others, such as reports beside images, show nothing
    return {
        file: Content(shown[file].hexdigest() if file in seen else content, content) for file, content in files.items()
    }


def _unreadable(file: Path, selection: Selection) -> str:
    """Why a file alone cannot be read, or ""."""
    try:
        read_listed([file], "alone", selection)
    except (FileFormatError, SequenceError) as error:
        return str(error).removeprefix(f"{file}: ")
    return ""


def _said(seen: Sequence[_Seen]) -> list[str]:
    """Why frames stand as they do, and what was noticed: a line for each kind, with a count."""
    orders = Counter(each.order for each in seen)
    # what differs from sequence to sequence, such as names and numbers, makes no kind of its own
    kinds = Counter(
        kind for each in seen for kind in {re.sub(r"\d+", "some", note.split(": ")[0]) for note in each.notes}
    )
    return [
        *(
            f"frames stand {order} in {count} sequences"
            for order, count in orders.items()
            if not order.startswith("one ")
        ),
        *(f"in {count} sequences: {kind}" for kind, count in kinds.items()),
    ]


def _length_tells(known: Sequence[tuple[int, int]]) -> list[str]:
    """A note where the number of frames alone would tell positives from negatives: a model learns that. known: label
    and number of each sequence."""
    ones = np.array([frames for label, frames in known if label])
    others = np.sort([frames for label, frames in known if not label])
    if min(len(ones), len(others)) < LENGTHS_MIN:
        return []
    fewer, more = others.searchsorted(ones), len(others) - others.searchsorted(ones, "right")
    difference = float((fewer - more).mean()) / len(others)  # of all pairs
    if abs(difference) < LENGTH_TELLS:
        return []
    word = "more" if difference > 0 else "fewer"
    return [
        f"positive sequences have {word} frames than negative ones (in {(1 + abs(difference)) / 2:.0%} of pairs, ties "
        "half): a model may learn that instead of what the pictures show"
    ]


def _identical(
    entries: Sequence[Entry], digests: dict[Path, Content], selection: Selection
) -> tuple[list[tuple[str, str]], set[str]]:
    """Pairs of patients who share a file or its pixels, and the pixels of shared blank ones, which make no pair."""
    owner: dict[str, str] = {}
    pairs: dict[str, set[tuple[str, str]]] = defaultdict(set)
    example: dict[str, Path] = {}
    for entry in entries:
        for file in entry.files:
            pixels = digests[file].pixels
            for content in {pixels, digests[file].file}:
                other = owner.setdefault(content, entry.patient)
                if other != entry.patient:
                    pairs[pixels].add((min(other, entry.patient), max(other, entry.patient)))
                    example[pixels] = file
    blank = {content for content, file in example.items() if _is_blank(file, selection)}
    telling = {pair for content, found in pairs.items() if content not in blank for pair in found}
    return sorted(telling), blank


def _require_one_spelling(name: str, entries: Sequence[Entry]) -> None:
    """Raise FileFormatError for patients whose names differ only as two spellings of one name do: X1 and x1."""
    spelled: dict[str, str] = {}
    for entry in entries:
        if (other := spelled.setdefault(spelling(entry.patient), entry.patient)) != entry.patient:
            raise FileFormatError(
                f"{name}: patients {other!r} and {entry.patient!r} may be one person in two spellings; rename one"
            )


def _tell_twins(entries: Sequence[Entry], digests: dict[Path, Content], silent: set[str], notes: list[str]) -> None:
    """Note the same pictures with two labels (published data have some), and what counts twice. silent: blank ones."""
    first: dict[frozenset[str], Entry] = {}
    twice: list[str] = []
    contrary: list[str] = []
    for entry in entries:
        content = frozenset(digests[file].pixels for file in entry.files) - silent
        if not content or (other := first.setdefault(content, entry)) is entry:
            continue
        if other.label != entry.label:
            contrary.append(f"{other.name} and {entry.name}")
            continue
        twice.append(entry.name)
    if contrary:
        notes.append(
            f"{len(contrary)} pairs hold the same pictures and have two labels, so one is wrong: {listed(contrary)}"
        )
    if twice:
        notes.append(f"{len(twice)} sequences hold the same pictures as others, and count twice: {listed(twice)}")


def _is_blank(file: Path, selection: Selection) -> bool:
    """Whether all pixels of each frame are the same, as where a camera was covered."""
    try:
        frames = read_listed([file], "alone", selection).frames
    except (FileFormatError, SequenceError):
        return False  # a file that is read with others only
    return all((channel == channel.flat[0]).all() for frame in frames for channel in frame)


def _divided(entries: list[Entry], options: FileOptions, notes: list[str]) -> list[Entry]:
    """Entries with their part. Given parts are kept, unless folds are asked for; a missing validation part is taken
    from training."""
    given = [entry.split for entry in entries]
    patients, labels = _undivided(entries), [entry.label for entry in entries]
    withheld = {patient for patient, part in zip(patients, given, strict=True) if part == TEST}
    if any(given) and options.folds:
        rows = [row for row, patient in enumerate(patients) if patient not in withheld]
        entries = [entries[row] for row in rows]
        patients, labels = [patients[row] for row in rows], [labels[row] for row in rows]
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
        drawn = split(_undivided(train), [e.label for e in train], replace(options, folds=0))
        # the test share of this division goes to training: its publisher has chosen the test part
        entries = _with(train, [part if part == VALIDATION else TRAIN for part in drawn]) + others
    return entries


def _undivided(entries: Sequence[Entry]) -> list[str]:
    """One name for all entries that no split may divide: those of a patient, and of a group with all its patients."""
    pairs = [(f"patient {entry.patient}", f"group {entry.group}") for entry in entries if entry.group]
    leader = same_person([f"patient {entry.patient}" for entry in entries], pairs)
    return [leader[f"patient {entry.patient}"] if entry.group else entry.patient for entry in entries]


def part_named(text: str) -> str | None:
    """The part that a manifest's split names: "" for none, None for a word that means nothing."""
    name = text.lower()
    name = VALIDATION if name in ("val", "valid", "dev") else name
    return name if name in ("", *PARTS) else None


def _with(entries: Sequence[Entry], parts: Sequence[str]) -> list[Entry]:
    return [replace(entry, split=part) for entry, part in zip(entries, parts, strict=True)]


def _part(entries: Sequence[Entry], selection: Selection) -> Part:
    return Part(
        Frames(entries, selection),
        np.array([entry.label for entry in entries], np.int64),
        tuple(entry.patient for entry in entries),
        tuple(entry.name for entry in entries),
        groups=tuple(_undivided(entries)) if any(entry.group for entry in entries) else (),
    )
