"""One DICOM file → what is known before its pixels are touched: whose, which series, which form, in which place.

Identity is held to be compared, and is in no message and no repr.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from heclstm.data.dicom.library import Dataset, guarded, read_header
from heclstm.data.dicom.places import Place, places_of
from heclstm.data.dicom.traits import PER_FRAME, Traits, traits_of
from heclstm.data.dicom.values import floats, items, of_frame, required_whole, text, whole, whole_text
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError

IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
DIRECTORY = "1.2.840.10008.1.3.10"  # SOP class of a DICOMDIR
WAVELETS = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")  # JPEG 2000 and HTJ2K
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
FRAMES_MAX = 1 << 14
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
GREYS = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"
EVEN = 1.001  # numbers that differ by less are one, written with fewer digits
WORDS_MAX = 40
SECRET = (
    "PatientID", "PatientName", "PatientBirthName", "PatientMotherBirthName", "OtherPatientIDs", "OtherPatientNames",
    "AccessionNumber", "ReferringPhysicianName", "InstitutionName",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Identity:
    """Who and what, as the file says it: "" where it does not. patient: his ID, or his name where there is none.
    issuer, authority: whose number that ID is, by name and by UID. birth: his date of birth. name: his own,
    without letter case."""

    patient: str
    issuer: str
    birth: str
    name: str
    sex: str
    study: str
    series: str
    instance: str
    authority: str = ""


@dataclass(frozen=True, repr=False)
class Series:
    """What a series may be called in a message, without names, numbers and dates of its patient. traits: what its
    frames should have in common; shown to nobody."""

    modality: str
    description: str
    body_part: str
    number: int
    traits: Traits


@dataclass(frozen=True)
class Form:
    """How pixels are stored. spacings: of its frames' pixels in millimetres, where it says so. described:
    of how many frames it tells something, 0 where of none. ratio: height over width
    of one pixel. burnt_in: None where the file does not say."""

    syntax: str
    photometric: str
    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    ratio: float
    burnt_in: bool | None
    spacings: frozenset[tuple[float, ...]] = frozenset()
    described: int = 0


@dataclass(frozen=True, repr=False)
class Header:
    """directory: a DICOMDIR. form: None for a file without pixels."""

    source: Source
    identity: Identity
    series: Series
    directory: bool
    form: Form | None
    places: tuple[Place, ...] = ()


def header_of(source: Source) -> Header:
    """Read a file up to its pixels. Raises FileFormatError where it is none, or its form is not one that is read."""
    dataset, pixels = read_header(source)
    with guarded(source):
        return _header(source, dataset, pixels)


def _header(source: Source, dataset: Dataset, pixels: str) -> Header:
    if pixels == "float":
        raise FileFormatError(f"{source}: no image: its pixels are floating-point values, not greys; export an image")
    study, group, instance = (text(dataset, name) for name in IDENTIFIERS)
    patient = whole_text(dataset, "PatientID") or whole_text(dataset, "PatientName").casefold()
    authority = "".join(
        text(item, "UniversalEntityID") for item in items(dataset, "IssuerOfPatientIDQualifiersSequence")
    )
    issuer, birth = text(dataset, "IssuerOfPatientID").casefold(), text(dataset, "PatientBirthDate")
    scripts = (" ".join(each.replace("^", " ").split()) for each in text(dataset, "PatientName").casefold().split("="))
    name = next(filter(None, scripts), "")  # one name may be told in one script or in three
    sex = text(dataset, "PatientSex").upper()
    identity = Identity(patient, issuer, birth, name, sex, study, group, instance, authority)
    directory = text(getattr(dataset, "file_meta", {}), "MediaStorageSOPClassUID") == DIRECTORY
    told = [text(dataset, name) for name in ("Modality", "SeriesDescription", "BodyPartExamined")]
    secrets = _secrets(dataset) if any(told) else []
    modality, description, body_part = (_words(value, secrets) for value in told)
    form = _form(source, dataset) if pixels else None
    traits = traits_of(dataset, form.frames if form else 1)
    series = Series(modality, description, body_part, whole(dataset, "SeriesNumber") or 0, traits)
    if form is None:
        return Header(source, identity, series, directory, None)
    return Header(source, identity, series, directory, form, places_of(source, dataset, form.frames))


def _form(source: Source, dataset: Dataset) -> Form:
    allocated = required_whole(source, dataset, "BitsAllocated", 1)
    stored = required_whole(source, dataset, "BitsStored", 1) if "BitsStored" in dataset else allocated
    samples = required_whole(source, dataset, "SamplesPerPixel", 1)
    photometric = text(dataset, "PhotometricInterpretation").upper()
    if allocated not in (1, 8, 16, 32) or stored > allocated:
        raise FileFormatError(
            f"{source}: no image: {stored} of {allocated} bits stored, expected up to 1, 8, 16 or 32 bits"
        )
    if text(dataset, "SOPClassUID") == WHOLE_SLIDE:
        raise FileFormatError(
            f"{source}: no image: tiles of a whole slide, which are no sequence; export fields of it as pictures"
        )
    if samples != (3 if photometric in COLOURS else 1) or photometric not in (*GREYS, *COLOURS, PALETTE):
        raise FileFormatError(
            f"{source}: no image: {samples} samples per pixel and a photometric interpretation that do not belong "
            f"together, expected one of {', '.join(GREYS)}, {PALETTE} with 1, {', '.join(COLOURS)} with 3"
        )
    syntax = text(getattr(dataset, "file_meta", {}), "TransferSyntaxUID")
    if photometric in ("YBR_ICT", "YBR_RCT") and not syntax.startswith(WAVELETS):
        raise FileFormatError(
            f"{source}: no image: says colours of JPEG 2000, and is not packed so; nobody knows which they are"
        )
    signed, high = whole(dataset, "PixelRepresentation") == 1, whole(dataset, "HighBit")
    high = high if high is not None and stored - 1 <= high < allocated else stored - 1
    if samples == 3 and (signed or high != stored - 1):
        raise FileFormatError(
            f"{source}: no image: colours with a sign, or not in the lowest bits, expected neither; export it again"
        )
    frames = whole(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") is not None else 1
    if frames is None or not 1 <= frames <= FRAMES_MAX:
        raise FileFormatError(f"{source}: no image: NumberOfFrames is none from 1 to {FRAMES_MAX}")
    if 0 < (count := len(items(dataset, PER_FRAME))) < frames:
        raise FileFormatError(f"{source}: no image: describes {count} frames, but holds {frames}; export it again")
    ratios, spacings = zip(*(_pixel(dataset, frame) for frame in range(frames if count else 1)), strict=True)
    if max(ratios) > EVEN * min(ratios):
        raise FileFormatError(
            f"{source}: no image: the shape of its pixels differs from frame to frame; export each alone"
        )
    burnt = text(dataset, "BurnedInAnnotation").upper()
    return Form(
        syntax,
        photometric,
        required_whole(source, dataset, "Rows", 1),
        required_whole(source, dataset, "Columns", 1),
        frames,
        samples,
        allocated,
        stored,
        high,
        signed,
        ratios[0],
        {"YES": True, "NO": False}.get(burnt),
        frozenset(spacings) - {()},
        count,
    )


def _pixel(dataset: Dataset, frame: int) -> tuple[float, tuple[float, ...]]:
    """Height over width of a pixel, and both in millimetres: spacings are (between rows, between columns)."""
    for keyword in SPACINGS:
        found = floats(of_frame(dataset, frame, "PixelMeasuresSequence", keyword), keyword)
        if found and len(found) == 2 and min(found) > 0:
            return found[0] / found[1], found if keyword != SPACINGS[-1] else ()
    return 1.0, ()


def _secrets(dataset: Dataset) -> list[str]:
    """What the file says about its patient, word by word, the longest first."""
    words = {part for name in SECRET for part in re.split(r"[\W_]+", text(dataset, name)) if len(part) > 1}
    return sorted(words, key=len, reverse=True)


def _words(value: str, secrets: list[str]) -> str:
    """Printable, short, and without what is secret: people write names and dates anywhere."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())
    for part in secrets if words else ():
        words = re.sub(re.escape(part), "…", words, flags=re.IGNORECASE)
    return re.sub(r"\d[\d.\-/]{4,}\d", "…", words)[:WORDS_MAX]
