"""Whose images a DICOM file holds, to be shown to whoever sends them: in no message, no repr, and never sent."""

from __future__ import annotations

from dataclasses import dataclass

from heclstm.data.dicom.library import guarded, read_header
from heclstm.data.dicom.values import text, whole_text
from heclstm.data.sources import Source
from heclstm.storage.typed import one_line

LENGTH_MAX = 100


@dataclass(frozen=True, repr=False)
class Person:
    """As the file says it, "" where it does not. birth, taken: days as 2026-01-31."""

    name: str = ""
    id: str = ""
    issuer: str = ""
    birth: str = ""
    sex: str = ""
    study: str = ""
    taken: str = ""


def person_of(source: Source) -> Person:
    """Raises FileFormatError."""
    dataset, _ = read_header(source)
    with guarded(source):
        names = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDescription")
        name, id, issuer, birth, sex, study = (one_line(whole_text(dataset, each), LENGTH_MAX) for each in names)
        taken = text(dataset, "AcquisitionDate") or text(dataset, "StudyDate") or text(dataset, "SeriesDate")
        return Person(_written(name), id, issuer, _day(birth), sex, study, _day(taken))


def _written(name: str) -> str:
    """DOE^JANE^^Dr → DOE, JANE, Dr. Of a name in several scripts, the first."""
    parts = [part.strip() for part in name.split("=")[0].split("^")]
    return ", ".join(filter(None, parts))


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) >= 8 and text[:8].isdecimal() else ""
