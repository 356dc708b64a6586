"""What a hospital hands in → the prepared sequence of a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from heclstm.card.purpose import Purpose
from heclstm.data import handed_in
from heclstm.data.dicom import ANY, Selection
from heclstm.data.handed_in import HandedIn
from heclstm.data.sequence import ImageSequence
from heclstm.errors import FileFormatError
from heclstm.usecases.events import SILENT, Events


def read_sequence(path: Path, purpose: Purpose, index: int | None = None, *, events: Events = SILENT) -> ImageSequence:
    """Read, check and prepare one patient's images as the model was trained on them.

    index: which patient, if the file holds many. Raises SequenceError or FileFormatError.
    """
    return read_handed_in([path], purpose, index, events=events).sequence


def read_handed_in(
    paths: Sequence[Path],
    purpose: Purpose,
    index: int | None = None,
    *,
    sequence: str = "",
    as_given: bool = False,
    selection: Selection = ANY,
    events: Events = SILENT,
) -> HandedIn:
    """As `read_sequence`, with what is to be known about the images, which is told too.

    The other arguments are those of `data.handed_in`.
    """
    if (preparation := purpose.preparation) is None:
        raise FileFormatError(f"{paths[0]}: the program does not say how images are prepared; compile a trained model")
    handed = handed_in.read_handed_in(
        paths, preparation, row=index, sequence=sequence, as_given=as_given, selection=selection
    )
    for line in (
        handed.told() if handed.names else handed.remarks
    ):  # that an array is in its own order goes without saying
        events.note(line)
    return handed


def selection_of(rules: Path | None, series: int = 0) -> Selection:
    """rules: a TOML file of rules for DICOM series. series: which of them, by its number in the list of a refusal."""
    selection = Selection.load(rules) if rules else ANY
    return replace(selection, series=series) if series else selection
