"""What a hospital or a data set hands in → one sequence's frames, with their order, its reason, and what is to be said.

The same code reads for training and for serving. Nothing about a patient is in what it says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.budget import Budget
from heclstm.data.dicom import ANY, Selection
from heclstm.data.dicom.series import headers_of, one_series, order_as_given, order_in_series, patients_of, show
from heclstm.data.manifest import MANIFEST, files_of_sequence
from heclstm.data.order import Order, by_names
from heclstm.data.pictures import read_pictures
from heclstm.data.sources import Found, Origin, Source, find, is_folder, sha256_of, some, where_are
from heclstm.errors import SequenceError

FEW_LEVELS = 16
DARK = 32  # an eighth of the whole range
DICOM = "DICOM files"
BLOCK = 1 << 22  # pixels that are counted at a time: counting takes eight times their size


@dataclass(frozen=True, repr=False)
class Images:
    """frames: each (1 or 3, height, width) of uint8, of its own size. order: why they stand so, in words. names: the
    file of each. kind: what the files are. notes: what whoever reads the result should know, in words. origins: where
    each frame was read from."""

    frames: list[NDArray[np.uint8]]
    order: str
    names: tuple[str, ...]
    kind: str
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()

    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each file, in the order of its first frame."""
        return tuple(sha256_of(source) for source in dict.fromkeys(origin.source for origin in self.origins))

    def __repr__(self) -> str:
        return f"Images({len(self.frames)} frames, {self.order})"


def read_images(
    inputs: Path | Sequence[Path], *, sequence: str = "", as_given: bool = False, selection: Selection = ANY
) -> Images:
    """Read a picture, a DICOM file, a list of such files, a folder, a zip, a DICOMDIR, or one sequence of a manifest.

    sequence: which one, of a manifest. as_given: a list is in its order already; else the rules of `order` hold.
    Raises FileFormatError for what cannot be read, SequenceError where it is not one sequence in one order.
    """
    paths = [inputs] if isinstance(inputs, Path) else list(inputs)
    if len(paths) == 1 and paths[0].suffix.lower() == MANIFEST and not is_folder(paths[0]):
        files, reason = files_of_sequence(paths[0], sequence)
        return read_listed(files, reason, selection)
    if sequence:
        raise SequenceError(f"{paths[0]}: is no manifest (.csv), so that it holds no sequence by name")
    if as_given:
        return read_listed(paths, "as given", selection)
    found = find(paths)
    return _of_series(found, paths, selection) if _is_dicom(found, paths[0]) else _of_pictures(found, paths)


def read_listed(files: Sequence[Path], reason: str, selection: Selection = ANY) -> Images:
    """Files whose order is known. reason: why they stand so, in words."""
    found = find(files)
    dicom = _is_dicom(found, files[0])
    places = [source.path for source in (*found.dicom, *found.pictures)]
    # An archive or a folder that holds one image stands behind the files that `find` was given beside it.
    moved = len(files) > 1 and places != list(files)
    if moved or len(places) != len(files) or len(files) != len(set(map(os.path.normpath, files))):
        raise SequenceError(f"{files[0]}: {reason}: expected files, each of them once")
    if not dicom:
        return _made(read_pictures(found.pictures, Budget()), reason, found.pictures, found.notes)
    headers, _ = headers_of(found.dicom)
    where = where_are(found.dicom)
    if len(headers) != len(files):
        raise SequenceError(f"{where}: {reason}: {len(files) - len(headers)} of {len(files)} files hold no pixels")
    if (count := patients_of(headers)) > 1:
        raise SequenceError(f"{where}: holds images of {count} patients; give the files of one")
    shown = show(headers, order_as_given(headers, reason, where), selection, Budget())
    return _said(Images(shown.frames, reason, shown.names, DICOM, shown.notes, shown.origins))


def _is_dicom(found: Found, where: Path) -> bool:
    """Raises SequenceError for a mixture, which no rule orders, and for nothing."""
    if found.dicom and found.pictures:
        names = some(sorted(source.name for source in found.pictures))
        raise SequenceError(
            f"{where}: holds {len(found.dicom)} DICOM files and {len(found.pictures)} pictures ({names}), which "
            "no rule brings into one order; give the ones or the others"
        )
    if not found.dicom and not found.pictures:
        raise SequenceError(f"{where}: no image: got 0 pictures or DICOM files")
    return bool(found.dicom)


def _of_series(found: Found, paths: Sequence[Path], selection: Selection) -> Images:
    where = str(paths[0]) if len(paths) == 1 else where_are(found.dicom)
    headers, more = headers_of(found.dicom)
    headers, copies = one_series(headers, selection, where)
    order = order_in_series(headers, where)
    shown = show(headers, order, selection, Budget())
    notes = (*found.notes, *more, *copies, *order.notes, *shown.notes)
    return _said(Images(shown.frames, order.reason, shown.names, DICOM, notes, shown.origins))


def _of_pictures(found: Found, paths: Sequence[Path]) -> Images:
    where = str(paths[0]) if len(paths) == 1 else where_are(found.pictures)
    inside = [source for source in found.pictures if source.member or source.path not in paths]
    if (count := len({source.folder for source in inside})) > 1:
        raise SequenceError(f"{where}: pictures lie in {count} folders; give the folder of one sequence")
    order: Order = by_names([source.name for source in found.pictures], where)
    sources = [found.pictures[row] for row in order.rows]
    return _made(read_pictures(sources, Budget()), order.reason, sources, found.notes)


def _made(frames: list[NDArray[np.uint8]], reason: str, sources: Sequence[Source], notes: Sequence[str]) -> Images:
    names = tuple(source.name for source in sources)
    return _said(
        Images(frames, reason, names, "pictures", tuple(notes), tuple(Origin(source, 0) for source in sources))
    )


def _said(images: Images) -> Images:
    """With a note where hardly any grey is left, or all are dark, as after a window for more bits."""
    if copies := count_copies(images.frames):
        note = f"{copies} of {len(images.frames)} frames are the same as others, pixel by pixel"
        images = replace(images, notes=(*images.notes, note))
    if (sizes := len({frame.shape[1:] for frame in images.frames})) > 1:
        images = replace(images, notes=(*images.notes, f"frames are of {sizes} sizes"))
    count, brightest = levels(images.frames), max(int(frame.max()) for frame in images.frames)
    if count >= FEW_LEVELS and brightest < DARK:
        note = f"no grey is above {brightest} of 255: its window or its range may not be what was meant"
        return replace(images, notes=(*images.notes, note))
    if count >= FEW_LEVELS:
        return images
    note = f"only {count} grey levels are left in the whole sequence: its window or its range may not be what was meant"
    return replace(images, notes=(*images.notes, note))


def count_copies(frames: Sequence[NDArray[Any]]) -> int:
    """How many frames are the same as one before."""
    return len(frames) - len({(frame.shape, sha256(np.ascontiguousarray(frame).data).digest()) for frame in frames})


def levels(frames: Sequence[NDArray[np.uint8]]) -> int:
    """Different greys in all frames together; of colours, in the channel that has most."""
    seen = np.zeros((3, 256), bool)
    for frame in frames:
        for channel, row in zip(frame, seen, strict=False):
            for block in np.array_split(channel.reshape(-1), 1 + channel.size // BLOCK):
                row |= np.bincount(block, minlength=256) > 0
    return int(seen.sum(axis=1).max())
