"""What a hospital hands in → the prepared sequence of a model, and what to know of it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heclstm.card.preparation import Preparation
from heclstm.data.dicom import ANY, Selection
from heclstm.data.fit import evenly
from heclstm.data.images import read_images
from heclstm.data.prepare import prepare
from heclstm.data.reading import holds_arrays, read_volume, stacked
from heclstm.data.sequence import ImageSequence
from heclstm.data.sources import some
from heclstm.errors import FileFormatError


@dataclass(frozen=True, repr=False)
class HandedIn:
    """sequence: ready to be encrypted. order: why its frames stand as they do, in words. names: the file of each
    frame that was read. kind: what the files are. used: which frames, counted from 0. notes: what else to say."""

    sequence: ImageSequence
    order: str
    names: tuple[str, ...]
    kind: str
    used: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def told(self) -> list[str]:
        """Order and notes, a line each."""
        files = list(dict.fromkeys(self.names))
        lines = [f"{len(self.names)} frames of {len(files)} {self.kind}, {self.order}: {some(files)}"]
        return lines + self.remarks

    @property
    def remarks(self) -> list[str]:
        """Without names of files: how many frames are used, and the notes."""
        left_out = len(self.used) < len(self.names)
        rows = ", ".join(str(row + 1) for row in self.used)
        counts = f"{len(self.used)} of {len(self.names)} frames are used, evenly spaced: {rows}"
        return [*([counts] if left_out else []), *self.notes]


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
        if not path.exists():
            raise FileFormatError(f"{path}: does not exist; give a NumPy file, or a folder of pictures or DICOM files")
    name = str(paths[0])
    if len(paths) == 1 and holds_arrays(paths[0]):
        array = read_volume(paths[0], row=row, slice_axis=preparation.axis)
        return HandedIn(prepare(array, preparation, name), "as the array holds them", (), "arrays", ())
    images = read_images(paths, sequence=sequence, as_given=as_given, selection=selection)
    if preparation.kind == "frames":
        prepared = prepare(images.frames, preparation, name)
        used = evenly(len(images.frames), preparation.frames)
    else:
        prepared = prepare(stacked(images.frames, name, preparation.axis), preparation, name)
        used = list(range(len(images.frames)))
    return HandedIn(prepared, images.order, images.names, images.kind, tuple(used), images.notes)
