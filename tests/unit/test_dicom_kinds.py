"""Kinds of DICOM that look like one sequence and are none, and what else a file says that greys alone do not show."""

import numpy as np
import pytest

from dicom_kit import AXIAL, data_set, item, ramp, save, table
from heclstm.data.images import read_images
from heclstm.errors import FileFormatError, SequenceError

SAGITTAL = [0, 1, 0, 0, 0, -1]
FRAME = np.dstack([ramp(0, 200, np.uint8)] * 3)
ORIGINAL = ["ORIGINAL", "PRIMARY", "AXIAL"]


def files(folder, *of_each, **tags):
    """One file for each, of another level, at another place."""
    for z, own in enumerate(of_each):
        place = {"ImagePositionPatient": [0, 0, float(z)], "ImageOrientationPatient": AXIAL, "InstanceNumber": z + 1}
        save(folder / f"{z}", ramp(z, 200, np.uint8), **(place | tags | own))
    return folder


def enhanced(folder, *of_each, shared=None, **tags):
    """One file of several frames. of_each: groups of each frame, and what stands in them."""
    made = data_set(np.stack([ramp(z, 200, np.uint8) for z in range(len(of_each))]), **tags)
    made.PerFrameFunctionalGroupsSequence = [item(**{k: [item(**v)] for k, v in own.items()}) for own in of_each]
    made.SharedFunctionalGroupsSequence = [item(**{k: [item(**v)] for k, v in (shared or {}).items()})]
    made.save_as(folder / "enhanced", enforce_file_format=True)
    return folder


def first_rows(found):
    """Which frame stands where: each begins with its own number."""
    return [int(frame.min()) for frame in found.frames]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"ImageType": ORIGINAL}, {"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "pictures made of images"),
        ({"Modality": "MG", "ViewPosition": "CC"}, {"Modality": "MG", "ViewPosition": "MLO"}, "views"),
        ({"ViewCodeSequence": [item(CodeValue="1")]}, {"ViewCodeSequence": [item(CodeValue="2")]}, "views"),
        ({"Units": "BQML"}, {"Units": "CNTS"}, r"kinds of values \(Units"),
        ({"RescaleType": "HU"}, {"RescaleType": "OD"}, r"kinds of values \(RescaleType"),
        ({"PresentationIntentType": "FOR PROCESSING"}, {"PresentationIntentType": "FOR PRESENTATION"}, "to be shown"),
        (
            {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M"]},
            {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "P"]},
            "ComplexImageComponent",
        ),
    ],
)
def test_what_is_no_one_sequence_is_refused(tmp_path, one, other, words):
    with pytest.raises(SequenceError, match=f"one series, but images of 2 .*{words}"):
        read_images(files(tmp_path / "a", one, one, other))
    assert len(read_images(files(tmp_path / "b", other, other, other)).frames) == 3


@pytest.mark.parametrize(
    ("group", "one", "other", "words"),
    [
        ("ImageDataTypeSequence", {"DataType": "TISSUE_INTENSITY"}, {"DataType": "FLOW_VELOCITY"}, "DataType"),
        (
            "MRImageFrameTypeSequence",
            {"ComplexImageComponent": "MAGNITUDE"},
            {"ComplexImageComponent": "PHASE"},
            "ComplexImageComponent",
        ),
        ("PixelValueTransformationSequence", {"RescaleType": "HU"}, {"RescaleType": "US"}, "RescaleType"),
    ],
)
def test_frames_of_several_kinds_are_refused(tmp_path, group, one, other, words):
    with pytest.raises(SequenceError, match=f"images of 2 kinds of values .*{words}"):
        read_images(enhanced(tmp_path, {group: one}, {group: other}))


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [
        ("ConvolutionKernel", "B30", "B70"), ("KVP", 80, 140), ("SliceThickness", 1, 5), ("EchoTime", 10, 80),
        ("DiffusionBValue", 0.0, 1000.0), ("ContrastBolusAgent", "", "X"),
        ("ImageType", ORIGINAL, ["DERIVED", "PRIMARY"]),
    ],
)  # fmt: skip
def test_frames_that_were_made_in_several_ways_are_told(tmp_path, keyword, one, other):
    told = f"frames were made in several ways, and may show one thing as different greys ({keyword})"
    assert told in read_images(files(tmp_path / "a", {keyword: one}, {keyword: other})).notes
    assert not read_images(files(tmp_path / "b", {keyword: one}, {keyword: one})).notes


def test_a_native_slice_among_those_with_contrast_is_told_and_what_never_has_any_is_not(tmp_path):
    """It mostly lacks the element. Among others that lack it, there is nothing to tell."""
    agent = {"ContrastBolusAgent": "X"}
    for place, (one, other) in enumerate([({}, agent), ({"ContrastBolusAgent": ""}, agent)]):
        notes = read_images(files(tmp_path / f"{place}", one, other)).notes
        assert any("in several ways" in note and "(ContrastBolusAgent)" in note for note in notes)
    for place, each in enumerate([agent, {}, {"Modality": "US"}, {"Modality": "ES"}]):
        assert not read_images(files(tmp_path / f"alike-{place}", each, each)).notes
    assert not read_images(files(tmp_path / "empty", {}, {"ContrastBolusAgent": ""})).notes


def test_stacks_of_several_directions_are_refused(tmp_path):
    """They stood by their numbers, with a note."""
    with pytest.raises(SequenceError, match="frames of several directions, such as axial and sagittal slices"):
        read_images(files(tmp_path, {}, {}, {"ImageOrientationPatient": SAGITTAL}))


@pytest.mark.parametrize("corner", [lambda z: [0, 0.7 * z, z], lambda z: [40 * (z == 2), 0, z]])
def test_frames_that_are_shifted_in_their_plane_are_told(tmp_path, corner):
    """By a gantry that is tilted, or as another field."""
    told = "frames are shifted against each other in their plane, so that one place is not one pixel"
    places = [{"ImagePositionPatient": list(map(float, corner(z)))} for z in range(3)]
    assert told in read_images(files(tmp_path / "a", *places)).notes
    assert not read_images(files(tmp_path / "b", {}, {}, {})).notes


def test_volumes_of_ultrasound_stand_by_their_own_positions(tmp_path):
    own = [{"PlanePositionVolumeSequence": {"ImagePositionVolume": [0.0, 0.0, 9.0 - z]}} for z in range(3)]
    shared = {"PlaneOrientationVolumeSequence": {"ImageOrientationVolume": AXIAL}}
    found = read_images(enhanced(tmp_path, *own, shared=shared, Modality="US"))
    assert (first_rows(found), found.order) == ([2, 1, 0], "by slice position along the normal")
    (tmp_path / "twice").mkdir()
    with pytest.raises(SequenceError, match="6 frames stand at 3 slice positions"):
        read_images(enhanced(tmp_path / "twice", *own, *own, shared=shared, Modality="US"))


def test_what_nuclear_medicine_counts_frames_by(tmp_path):
    frames = np.stack([ramp(z, 200, np.uint8) for z in range(4)])
    for name, vectors, words in (
        ("a", {"DetectorVector": [1, 1, 2, 2]}, "2 detectors"),
        ("b", {"EnergyWindowVector": [1, 2, 1, 2]}, "2 energies"),
        ("c", {"SliceVector": [1, 2, 1, 2], "TimeSlotVector": [1, 1, 2, 2]}, "4 frames stand at 2 slice positions"),
    ):
        with pytest.raises(SequenceError, match=words):
            read_images([save(tmp_path / name, frames, Modality="NM", **vectors)])
    found = read_images([save(tmp_path / "d", frames, Modality="NM", SliceVector=[4, 3, 2, 1])])
    assert first_rows(found) == [3, 2, 1, 0]


def part(folder, number, count=2, total=None, **tags):
    """Of an object of four frames that was cut into files of two."""
    first = 2 * (number - 1)
    pixels = np.stack([ramp(first + frame, 200, np.uint8) for frame in range(2)])
    own = {"ConcatenationUID": "1.2.3", "InConcatenationNumber": number, "ConcatenationFrameOffsetNumber": first}
    save(folder / f"part{9 - number}", pixels, InConcatenationTotalNumber=total or count, **own, **tags)


def test_what_was_cut_into_files_is_put_together(tmp_path):
    for number in (1, 2):
        part(tmp_path / "a", number, InstanceNumber=1)
        part(tmp_path / "b", number, InstanceNumber=3 - number)  # which says another order
        part(tmp_path / "c", number, InstanceNumber=number, total=3)
    part(tmp_path / "d", 2, InstanceNumber=1)
    for name in "ab":
        found = read_images(tmp_path / name)
        assert (first_rows(found), found.order) == ([0, 1, 2, 3], "by its place in what was cut into files")
    for name, words in (("c", "2 files of an object that was cut into 3"), ("d", "1 files of .* into 2")):
        with pytest.raises(SequenceError, match=words):
            read_images(tmp_path / name)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (({"AcquisitionTime": "1011"}, {"AcquisitionTime": "101130"}), "minutes or seconds and others do not"),
        (({"AcquisitionTime": "10"}, {"AcquisitionTime": "1011"}), "minutes or seconds and others do not"),
        (({"AcquisitionTime": "101130"}, {"AcquisitionTime": "101130.2"}), "tell its parts and others do not"),
        (
            ({"AcquisitionDateTime": "20240131100000", "AcquisitionTime": "110000"}, {"AcquisitionTime": "100500"}),
            "that two elements of a file tell differently",
        ),
    ],
)
def test_clocks_that_cannot_be_compared_need_numbers(tmp_path, times, words):
    for numbers, folder in (((2, 1), tmp_path / "a"), ((1, 2), tmp_path / "b")):
        for number, own in zip(numbers, times, strict=True):
            tags = {"InstanceNumber": number, "AcquisitionDate": "20240131"}
            save(folder / f"{number}", ramp(number, 200, np.uint8), **tags, **own)
    with pytest.raises(SequenceError, match=f"acquisition times .*{words}, and instance numbers do not confirm"):
        read_images(tmp_path / "a")
    assert first_rows(read_images(tmp_path / "b")) == [1, 2]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, "tiles of a whole slide"),
        ({"PixelRepresentation": 1}, "colours with a sign"),
        ({"PhotometricInterpretation": "YBR_RCT"}, "says colours of JPEG 2000, and is not packed so"),
    ],
)
def test_colours_that_nobody_can_tell_are_refused(tmp_path, tags, words):
    with pytest.raises(FileFormatError, match=words):
        read_images([save(tmp_path / "a", FRAME, **tags)])


def test_colours_in_the_highest_bits_are_refused(tmp_path):
    made = data_set(ramp(0, 4095) << 4, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    made.BitsStored, made.HighBit, made.PixelData = 12, 15, 3 * made.PixelData
    made.save_as(tmp_path / "a", enforce_file_format=True)
    with pytest.raises(FileFormatError, match="not in the lowest bits"):
        read_images([tmp_path / "a"])


WINDOW = {"WindowCenter": 2000, "WindowWidth": 4000, "BitsStored": 12}
TWO = [table(list(range(4096)), bits=12), table(list(range(4095, -1, -1)), bits=12)]


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "images are stored for processing"),
        ({"RecommendedViewingMode": "SUB"}, "after a mask was subtracted"),
        ({"StereoPairsPresent": "YES"}, "frames are seen by two eyes in turn"),
        ({"PixelPresentation": "MIXED"}, "colours that are laid over greys are left out"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, "is told in two ways"),
        ({"VOILUTSequence": TWO}, "several look-up tables: the first is used"),
        ({"ModalityLUTSequence": TWO}, "several look-up tables: the first is used"),
    ],
)
def test_what_greys_alone_do_not_show_is_told(tmp_path, tags, told):
    assert any(told in note for note in read_images([save(tmp_path / "a", ramp(0, 4095), **(WINDOW | tags))]).notes)


def test_a_presentation_that_is_not_done_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="asks for a look-up table of its presentation"):
        read_images([save(tmp_path / "a", ramp(0, 4095), **WINDOW, PresentationLUTSequence=TWO[1:])])
