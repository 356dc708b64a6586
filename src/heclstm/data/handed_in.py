"""What a hospital hands in → the prepared sequence of a model, and what to know of it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.dicom import ANY, Selection
from heclstm.data.fit import evenly
from heclstm.data.images import DARK, count_copies, read_images
from heclstm.data.prepare import prepare
from heclstm.data.reading import holds_arrays, read_volume, stacked
from heclstm.data.sequence import ImageSequence
from heclstm.data.sources import Origin, Source, is_there, sha256_of, some
from heclstm.errors import FileFormatError, SequenceError

FRAMES_BEHIND = 4  # a last axis that is so many times shorter than both others counts frames, and no pixels


@dataclass(frozen=True, repr=False)
class HandedIn:
    """sequence: ready to be encrypted. order: why its frames stand as they do, in words. names: the file of each
    frame that was read. kind: what the files are. used: which frames, counted from 0. notes: what else to say.
    origins: where each frame was read from. files: SHA-256 of each file, in the order of the frames."""

    sequence: ImageSequence
    order: str
    names: tuple[str, ...]
    kind: str
    used: tuple[int, ...]
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    files: tuple[str, ...] = ()

    def told(self) -> list[str]:
        """Order and notes, a line each."""
        if not self.names:
            return [f"frames stand {self.order}", *self.remarks]
        files = list(dict.fromkeys(self.names))
        lines = [f"{len(self.names)} frames of {len(files)} {self.kind}, {self.order}: {some(files)}"]
        return lines + self.remarks

    @property
    def remarks(self) -> list[str]:
        """Without names of files: how many frames are used, and the notes."""
        return [*_left_out(self.used, len(self.names)), *self.notes]


def read_handed_in(
    inputs: Path | Sequence[Path],
    preparation: Preparation,
    *,
    row: int | None = None,
    sequence: str = "",
    as_given: bool = False,
    selection: Selection = ANY,
) -> HandedIn:
    """Read, check and prepare one patient's images as the model was trained on them.

    row: which patient, of a NumPy file that holds many. The others are as in `read_images`. Raises SequenceError or
    FileFormatError.
    """
    paths = [inputs] if isinstance(inputs, Path) else list(inputs)
    for path in paths:
        if not is_there(path):
            raise FileFormatError(f"{path}: does not exist; give a NumPy file, or a folder of pictures or DICOM files")
    name = str(paths[0])
    if len(paths) == 1 and holds_arrays(paths[0]):
        array = read_volume(paths[0], row=row, slice_axis=preparation.axis)
        if row is None:
            _require_one_patient(paths[0], array, preparation)
        _require_plausible(array, preparation, name)
        prepared = prepare(array, preparation, name)
        notes = _left_out(evenly(len(array), preparation.frames), len(array)) if preparation.kind == "frames" else ()
        if (brightest := round(255 * float(prepared.frames.max()))) < DARK:
            notes += (f"no grey is above {brightest} of 255: its range may not be what was meant",)
        if array.min() == array.max():
            notes += ("all values are the same: there is no image in it",)
        elif preparation.kind == "frames" and (copies := count_copies(list(array))):
            notes += (f"{copies} of {len(array)} frames are the same as others, pixel by pixel",)
        notes += _enlarged(array, preparation)
        files = (sha256_of(Source(paths[0])),)
        return HandedIn(prepared, "as the array holds them", (), "arrays", (), notes, files=files)
    images = read_images(paths, sequence=sequence, as_given=as_given, selection=selection)
    if preparation.kind == "frames":
        prepared = prepare(images.frames, preparation, name)
        used = evenly(len(images.frames), preparation.frames)
    else:
        prepared = prepare(stacked(images.frames, name, preparation.axis), preparation, name)
        used = list(range(len(images.frames)))
    notes = (*images.notes, *_enlarged(images.frames, preparation))
    return HandedIn(
        prepared, images.order, images.names, images.kind, tuple(used), notes, images.origins, images.digests()
    )


def _enlarged(frames: Sequence[NDArray[Any]] | NDArray[Any], preparation: Preparation) -> tuple[str, ...]:
    """That there are fewer pixels than the model takes, as in thumbnails."""
    if preparation.resize == "none":
        return ()
    height, width = preparation.source[2:]
    one_side = all if preparation.resize == "letterbox" else any  # that is small makes it enlarge the other, too
    sizes = [zip(frame.shape[-2:], (height, width), strict=True) for frame in frames]
    if not (small := sum(one_side(got < wanted for got, wanted in size) for size in sizes)):
        return ()
    return (f"{small} of {len(frames)} frames are smaller than {height}×{width} pixels, and are enlarged",)


def _left_out(used: Sequence[int], count: int) -> tuple[str, ...]:
    """Which frames are used, where that is not all of them."""
    rows = ", ".join(str(row + 1) for row in used)
    return (f"{len(used)} of {count} frames are used, evenly spaced: {rows}",) if len(used) < count else ()


def _require_one_patient(path: Path, array: NDArray[Any], preparation: Preparation) -> None:
    """Raise SequenceError for an array that may hold several: nobody said which one is meant."""
    grey, frames = preparation.source[1] == 1, preparation.source[0]
    three = frames == 3 or (preparation.padded and frames > 3)  # whether it takes sequences of so many
    if preparation.kind == "frames" and grey and three and array.ndim == 4 and array.shape[1] == 3:
        raise SequenceError(
            f"{path}: may hold {len(array)} patients of 3 grey frames, or {len(array)} frames in colour; say which "
            "patient is meant (--index), or hand in grey frames as (frames, height, width)"
        )


def _require_plausible(array: NDArray[Any], preparation: Preparation, name: str) -> None:
    """Raise SequenceError for an array that can be read in one way, and is meant in another."""
    if array.dtype == np.uint8 and array.size and array.max() == 1:
        raise SequenceError(
            f"{name}: got uint8 of 0 and 1 alone, which is black, where white is 255; hand in a mask as bool, or "
            "multiply it by 255"
        )
    if preparation.kind == "frames" and preparation.source[1] == 3 and array.ndim == 3 and len(array) == 3:
        raise SequenceError(
            f"{name}: may be one picture in colour, or 3 grey frames; hand in (1, 3, height, width), or (3, 1, height, "
            "width)"
        )
    if preparation.flexible and array.ndim == 3 and array.shape[1:] != preparation.source[2:]:
        first, second, last = array.shape
        if FRAMES_BEHIND * last <= min(first, second) or first == second != last:
            raise SequenceError(
                f"{name}: got {first} frames of {second}×{last} pixels; if that are {last} frames of {first}×{second}, "
                "hand in (frames, height, width), as by np.moveaxis(images, -1, 0)"
            )
