"""The source images of a diagnosis: which frames each step saw, and whose study they are of.

Names, numbers and dates are read again from the headers here, in the hospital; they went nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta, timezone
from hashlib import sha256
from typing import Any

from heclstm.card.preparation import Preparation
from heclstm.data.dicom.library import Dataset, guarded, read_header
from heclstm.data.dicom.values import text
from heclstm.data.handed_in import HandedIn
from heclstm.data.images import DICOM
from heclstm.data.quiet import quiet
from heclstm.data.sources import Origin, Source
from heclstm.errors import FileFormatError, HeclstmError, InputError

REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
# Of patient and study, as every object of a study repeats them; what is absent there is empty here.
REPEATED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
ALSO = ("IssuerOfPatientID", "StudyDescription")


@dataclass(frozen=True, repr=False)
class Image:
    """One instance, and the frames of it that were used, counted from 1; () for an image of one frame."""

    sop_class: str
    instance: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class SourceStudy:
    """headers: of all images of the series, without pixels. steps: what each real step of the sequence saw."""

    headers: tuple[Dataset, ...]
    steps: tuple[tuple[Image, ...], ...]

    @property
    def images(self) -> tuple[Image, ...]:
        """All that any step saw, each instance once."""
        found: dict[str, Image] = {}
        for image in (image for step in self.steps for image in step):
            other = found.get(image.instance, image)
            frames = tuple(sorted({*other.frames, *image.frames}))
            found[image.instance] = Image(image.sop_class, image.instance, frames)
        return tuple(found.values())

    @property
    def first(self) -> Dataset:
        """A header that has all of `REPEATED`."""
        return self.headers[0]

    @property
    def zone(self) -> timezone | None:
        """In which dates and times of the study are written, where it says so."""
        found = re.fullmatch(r"([+-])(\d\d)([0-5]\d)", text(self.first, "TimezoneOffsetFromUTC"))
        if found is None or (minutes := int(found[2]) * 60 + int(found[3])) > 14 * 60:
            return None
        return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))

    def repeat(self, made: Dataset) -> None:
        """What highdicom leaves out of patient and study."""
        for keyword in ALSO:
            if keyword in self.first and keyword not in made:
                made[keyword] = self.first[keyword]
        if self.zone is not None:  # it holds for all dates and times of an object: those repeated, and ours
            made["TimezoneOffsetFromUTC"] = self.first["TimezoneOffsetFromUTC"]


def study_of(images: HandedIn, preparation: Preparation) -> SourceStudy:
    """Raises InputError for images that did not come as DICOM, FileFormatError where headers do not say enough."""
    if images.kind != DICOM:
        raise InputError(
            f"{images.sequence.name}: holds {images.kind}, and not DICOM files, so nothing says whose study a report "
            "would belong to; give the DICOM files of the images"
        )
    headers = {origin.source: _header(origin.source) for origin in dict.fromkeys(images.origins)}
    if len({text(header, "StudyInstanceUID") for header in headers.values()}) > 1:
        raise InputError(f"{images.sequence.name}: holds images of several studies; give those of one")
    steps = [_images(found, headers) for found in _origins_of_steps(images, preparation)]
    return SourceStudy(tuple(headers.values()), tuple(steps))


@contextmanager
def building(what: str) -> Iterator[None]:
    """Whatever a library raises about foreign headers becomes a FileFormatError that shows none of their values."""
    try:
        with quiet():
            yield
    except HeclstmError:
        raise
    except Exception as error:  # highdicom and pydicom quote values in theirs
        raise FileFormatError(
            f"{what}: cannot be made of what the headers of the images say ({type(error).__name__}); "
            "export the study again"
        ) from None


def uid_of(*parts: str) -> str:
    """A unique identifier that is the same for the same parts, of which one is random: what is made twice is one."""
    return f"2.25.{int.from_bytes(sha256(chr(0).join(parts).encode()).digest()[:16], 'big')}"


def _origins_of_steps(images: HandedIn, preparation: Preparation) -> list[Sequence[Origin]]:
    """Frames one by one, or the neighbouring slices that became the channels of a frame."""
    if preparation.kind == "frames":
        return [[images.origins[row]] for row in images.used]
    slices = preparation.slices_per_frame
    return [images.origins[at : at + slices] for at in range(0, len(images.origins), slices)]


def _images(origins: Sequence[Origin], headers: dict[Source, Dataset]) -> tuple[Image, ...]:
    found: dict[Source, list[int]] = {}
    for origin in origins:
        found.setdefault(origin.source, []).append(origin.frame + 1)
    return tuple(_image(headers[source], frames) for source, frames in found.items())


def _image(header: Dataset, frames: Sequence[int]) -> Image:
    several = text(header, "NumberOfFrames") not in ("", "1")
    return Image(text(header, "SOPClassUID"), text(header, "SOPInstanceUID"), tuple(frames) if several else ())


def _header(source: Source) -> Dataset:
    header, _ = read_header(source)
    if absent := [keyword for keyword in REQUIRED if not text(header, keyword)]:
        raise FileFormatError(f"{source}: says no {absent[0]}, which a report has to name; export the study again")
    with guarded(source):
        for keyword in REPEATED:
            if not text(header, keyword):
                setattr(header, keyword, None)
        if text(header, "PatientSex") not in ("M", "F", "O"):
            header.PatientSex = None
    return header


def subject(study: SourceStudy) -> dict[str, Any]:
    """Patient and study, as highdicom's constructors take them."""
    names = {"PatientID": "patient_id", "StudyID": "study_id", "StudyInstanceUID": "study_instance_uid"}
    snake = {keyword: names.get(keyword) or _snake(keyword) for keyword in (*REPEATED, "StudyInstanceUID")}
    return {name: study.first.get(keyword) or None for keyword, name in snake.items()}


def _snake(keyword: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in keyword).lstrip("_")
