"""INPUT of a verb → the prepared sequence of a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heclstm.card.purpose import Purpose
    from heclstm.data.sequence import ImageSequence


def read_sequence(path: Path, purpose: Purpose, index: int | None = None) -> ImageSequence:
    """Read, check and prepare one patient's images as the model was trained on them.

    index: which patient, if the file holds many. Raises SequenceError or FileFormatError.
    """
    from heclstm.data.prepare import prepare
    from heclstm.data.reading import read_frames, read_volume
    from heclstm.errors import FileFormatError

    if not path.exists():
        raise FileFormatError(f"{path}: does not exist; give a .npy or .npz file, or a folder of pictures")
    if (preparation := purpose.preparation) is None:
        raise FileFormatError(f"{path}: the program does not say how images are prepared; compile a trained model")
    if preparation.kind == "frames":
        return prepare(read_frames(path, row=index), preparation, str(path))
    return prepare(read_volume(path, row=index, slice_axis=preparation.axis), preparation, str(path))
