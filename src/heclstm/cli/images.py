"""INPUT of a verb → the prepared sequence of a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heclstm.cli.terminal import note

if TYPE_CHECKING:
    from heclstm.card.purpose import Purpose
    from heclstm.data.handed_in import HandedIn
    from heclstm.data.sequence import ImageSequence


def read_sequence(path: Path, purpose: Purpose, index: int | None = None) -> ImageSequence:
    """Read, check and prepare one patient's images as the model was trained on them.

    index: which patient, if the file holds many. Raises SequenceError or FileFormatError.
    """
    return read_handed_in([path], purpose, index).sequence


def read_handed_in(
    paths: Sequence[Path],
    purpose: Purpose,
    index: int | None = None,
    *,
    sequence: str = "",
    as_given: bool = False,
    select: Path | None = None,
    series: int = 0,
) -> HandedIn:
    """As `read_sequence`, with what is to be known about the images; tells it on stderr too."""
    from dataclasses import replace

    from heclstm.data import handed_in
    from heclstm.data.dicom import Selection
    from heclstm.errors import FileFormatError

    if (preparation := purpose.preparation) is None:
        raise FileFormatError(f"{paths[0]}: the program does not say how images are prepared; compile a trained model")
    selection = Selection.load(select) if select else Selection()
    handed = handed_in.read_handed_in(
        paths,
        preparation,
        row=index,
        sequence=sequence,
        as_given=as_given,
        selection=replace(selection, series=series) if series else selection,
    )
    if handed.names:
        for line in handed.told():
            note(line)
    return handed
