"""What frames of one series have to have in common, whatever their series says; and what should be told if they do not.

A series is what a device calls one: a scout view among slices, both eyes, two views of a breast, the phase beside the
magnitude. None of that is one sequence of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heclstm.data.dicom.library import Dataset, tag_of
from heclstm.data.dicom.values import floats, given, groups, items, text, texts

PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
COMPLEX = {"P": "PHASE", "R": "REAL", "I": "IMAGINARY"}  # as ImageType says it; all else is a magnitude
OTHERWISE = "frames were made in several ways, and may show one thing as different greys ({names})"


@dataclass(frozen=True)
class Trait:
    """what: may not differ, in words; or a keyword, where it is only told. value: of a file, or of an item of one of
    its functional groups. vector: a keyword under which a file without such groups lists one value for each frame.
    """

    what: str
    value: Callable[[Dataset], str]
    groups: tuple[str, ...] = ()
    vector: str = ""
    told: bool = False

    def found(self, dataset: Dataset, frames: int, there: set[int]) -> frozenset[str]:
        """All that its frames say. there: tags of the functional groups that it has."""
        if self.vector and len(listed := floats(dataset, self.vector) or ()) == frames:
            return frozenset(f"{value:g}" for value in listed)
        values: set[str] = set()
        for name in self.groups:
            if tag_of(name) in there:
                values |= {self.value(item) for frame in range(frames) for item in groups(dataset, frame, name)}
        return frozenset(values - {""}) or frozenset({self.value(dataset)} - {""})


def _of(*keywords: str) -> Callable[[Dataset], str]:
    """The first that is there, in capitals."""
    return lambda dataset: next(filter(None, (text(dataset, keyword).upper() for keyword in keywords)), "")


def _types(dataset: Dataset) -> tuple[str, ...]:
    return texts(dataset, "FrameType") or texts(dataset, "ImageType")


def _scout(dataset: Dataset) -> str:
    return ("no", "yes")["LOCALIZER" in types] if (types := _types(dataset)) else "no"


def _type(place: int, known: tuple[str, ...]) -> Callable[[Dataset], str]:
    def value(dataset: Dataset) -> str:
        types = _types(dataset)
        return types[place] if len(types) > place and types[place] in known else ""

    return value


def _complex(dataset: Dataset) -> str:
    if component := text(dataset, "ComplexImageComponent").upper():
        return component
    types = _types(dataset)
    return COMPLEX.get(types[2], "MAGNITUDE") if len(types) > 2 and text(dataset, "Modality") == "MR" else ""


def _side(dataset: Dataset) -> str:
    return _of("FrameLaterality", "ImageLaterality", "Laterality")(dataset)[:1]


def _view(dataset: Dataset) -> str:
    coded = "".join(text(item, "CodeValue") for item in items(dataset, "ViewCodeSequence")[:1])
    return text(dataset, "ViewPosition").upper() or coded


def _agent(dataset: Dataset) -> str:
    """Native images mostly lack the element, or have it empty."""
    return ("without", "with")[given(dataset, "ContrastBolusAgent")]


TRAITS = (
    Trait("kinds of devices (Modality)", _of("Modality")),
    Trait("parts of the body (BodyPartExamined)", _of("BodyPartExamined")),
    Trait("sides of the body (Laterality)", _side, ("FrameAnatomySequence",)),
    Trait("kinds, localizers beside other images (ImageType)", _scout, FRAME_TYPES),
    Trait("kinds, pictures made of images beside images (ImageType)", _type(1, ("PRIMARY", "SECONDARY")), FRAME_TYPES),
    Trait("views (ViewPosition)", _view),
    Trait("kinds of values (ComplexImageComponent)", _complex, FRAME_TYPES[:1]),
    Trait("kinds of values (Units)", _of("Units")),
    Trait("kinds of values (RescaleType)", _of("RescaleType"), ("PixelValueTransformationSequence",)),
    Trait("kinds of values (DataType)", _of("DataType"), ("ImageDataTypeSequence",)),
    Trait("kinds, some not meant to be shown (PresentationIntentType)", _of("PresentationIntentType")),
    Trait("detectors (DetectorVector)", lambda _: "", vector="DetectorVector"),
    Trait("energies (EnergyWindowVector)", lambda _: "", vector="EnergyWindowVector"),
    Trait("ImageType", _type(0, ("ORIGINAL", "DERIVED")), FRAME_TYPES, told=True),
    Trait("ConvolutionKernel", _of("ConvolutionKernel"), ("CTReconstructionSequence",), told=True),
    Trait("KVP", _of("KVP"), ("CTXRayDetailsSequence",), told=True),
    Trait("SliceThickness", _of("SliceThickness"), ("PixelMeasuresSequence",), told=True),
    Trait("EchoTime", _of("EffectiveEchoTime", "EchoTime"), ("MREchoSequence",), told=True),
    Trait("DiffusionBValue", _of("DiffusionBValue"), ("MRDiffusionSequence",), told=True),
    Trait("ContrastBolusAgent", _agent, told=True),
    Trait("StackID", _of("StackID"), ("FrameContentSequence",), told=True),
)  # fmt: skip
Traits = tuple[frozenset[str], ...]


def traits_of(dataset: Dataset, frames: int) -> Traits:
    """For each of TRAITS, all that the frames of a file say."""
    holders = items(dataset, PER_FRAME)[:frames] + items(dataset, SHARED)[:1]
    there: set[int] = set().union(*(holder.keys() for holder in holders))
    return tuple(trait.found(dataset, frames, there) for trait in TRAITS)


def differing(of_files: Sequence[Traits], *, told: bool) -> dict[str, int]:
    """What differs between frames of all these files, and how many values it has."""
    counts = {
        trait.what: len(frozenset().union(*values))
        for trait, values in zip(TRAITS, zip(*of_files, strict=True), strict=True)
        if trait.told == told
    }
    return {what: count for what, count in counts.items() if count > 1}
