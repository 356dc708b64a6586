"""Files that somebody hands in → what is to be seen before anything is sent: whose, which series, which frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heclstm.card.program_card import ProgramCard
from heclstm.data.dicom import Selection, headers_of
from heclstm.data.dicom.person import Person, person_of
from heclstm.data.dicom.series import grouped
from heclstm.data.handed_in import HandedIn
from heclstm.data.images import DICOM
from heclstm.data.manifest import MANIFEST
from heclstm.data.reading import holds_arrays
from heclstm.data.sources import find
from heclstm.deploy.keys import query_blobs
from heclstm.deploy.usual import envelope_facts
from heclstm.errors import HeclstmError, NotAssessableError
from heclstm.usecases.encrypt_each import patients_of
from heclstm.usecases.images import read_handed_in

ORDINARY = Selection()


@dataclass(frozen=True)
class Choice:
    """number: to choose it by, counted from 1. words: as the file describes it, without what names a patient."""

    number: int
    words: str
    frames: int


@dataclass(frozen=True, repr=False)
class Study:
    """images: None as long as something must be chosen, or `problem` says why there are none.

    person: as DICOM files say it. series: of DICOM files. rows: how many patients a NumPy file holds, 0 where it is not
    such a one. outside: what is unlike the images of training. undecidable: why no decision will be made; such images
    are not sent. burnt_in: whether files say that writing is burnt into their pixels.
    """

    images: HandedIn | None
    query_bytes: int
    person: Person | None = None
    series: tuple[Choice, ...] = ()
    rows: int = 0
    problem: str = ""
    outside: tuple[str, ...] = ()
    undecidable: str = ""
    burnt_in: bool = False


def examine(
    paths: Sequence[Path],
    card: ProgramCard,
    *,
    selection: Selection = ORDINARY,
    row: int | None = None,
    as_given: bool = False,
) -> Study:
    """paths: of one patient. row: which, where a NumPy file holds many. What is wrong with the files is told in
    the `problem` of the study, and no error is raised for it.
    """
    found = Study(None, sum(size for _, size in query_blobs(card)))
    try:
        if len(paths) == 1 and holds_arrays(paths[0]):
            patients = patients_of(paths, card)
            found = replace(found, rows=len(patients) if patients[0].row is not None else 0)
            if found.rows and row is None:
                return found
        elif not any(path.suffix.lower() == MANIFEST for path in paths):
            found = _described(found, paths)
            if len(found.series) > 1 and not selection.series:
                return found
        images = read_handed_in(paths, card, row, as_given=as_given, selection=selection)
        if images.kind == DICOM and found.person:
            found = replace(found, person=person_of(images.origins[0].source))  # of the series that is meant
    except HeclstmError as error:
        return replace(found, problem=str(error))
    outside = envelope_facts(card, images.sequence).get("outside", ())
    return replace(found, images=images, outside=outside, undecidable=_undecidable(card, images))


def _described(found: Study, paths: Sequence[Path]) -> Study:
    """With what DICOM files say of themselves, if they are some."""
    if not (sources := find(paths).dicom):
        return found
    headers, _ = headers_of(sources)
    choices = []
    for number, group in enumerate(grouped(headers), start=1):
        series = group[0].series
        words = " ".join(filter(None, (series.modality, series.body_part, series.description)))
        choices.append(Choice(number, words, sum(each.form.frames for each in group if each.form)))
    burnt_in = any(each.form and each.form.burnt_in for each in headers)
    person = person_of(headers[0].source)
    if len(choices) > 1:
        person = replace(person, study="", taken="")  # of one of them, and nobody knows yet which is meant
    return replace(found, person=person, series=tuple(choices), burnt_in=burnt_in)


def _undecidable(card: ProgramCard, images: HandedIn) -> str:
    try:
        card.operating_point(images.sequence.real_frames)
    except NotAssessableError as error:
        return str(error)
    return ""
