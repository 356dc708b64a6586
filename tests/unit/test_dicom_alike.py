"""Files of one series that no sequence holds together, and what differs from frame to frame."""

import numpy as np
import pytest

from dicom_kit import AXIAL, data_set, flat, item, ramp, save, slices
from heclstm.data.images import read_images
from heclstm.errors import FileFormatError, SequenceError


def enhanced(path, per_frame, **tags):
    """A file of frames 1, 2, … of which each has one functional group."""
    frames = np.stack([ramp(number, 255, np.uint8) for number, _ in enumerate(per_frame)])
    made = data_set(frames, **tags)
    made.PerFrameFunctionalGroupsSequence = [item(**{name: [item(**values)]}) for name, values in per_frame]
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("tag", "one", "other", "words"),
    [
        ("Modality", "CT", "MR", "kinds of devices"),
        ("Laterality", "L", "R", "sides of the body"),
        ("ImageLaterality", "L", "R", "sides of the body"),
        ("BodyPartExamined", "CHEST", "HEAD", "parts of the body"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizers beside"),
    ],
)
def test_what_no_series_holds_together_is_refused(tmp_path, tag, one, other, words):
    """The left and the right eye, or a scout view among slices: their series says nothing of it."""
    files = [save(tmp_path / str(number), flat(9), InstanceNumber=number, **{tag: one}) for number in (1, 2)]
    assert len(read_images(tmp_path).frames) == 2
    files.append(save(tmp_path / "3", flat(9), InstanceNumber=3, **{tag: other}))
    with pytest.raises(SequenceError, match=f"one series, but images of 2 .*{words}.*--as-given"):
        read_images(tmp_path)
    assert len(read_images(files, as_given=True).frames) == 3


def test_times_without_a_date_are_not_trusted_over_midnight(tmp_path):
    """They would stand last to first; where numbers agree, or there is a date, times decide."""
    for number, time in ((1, "235959"), (2, "000001")):
        save(tmp_path / "a" / str(number), flat(number), InstanceNumber=number, AcquisitionTime=time)
        date = "20240131" if number == 1 else "20240201"
        save(
            tmp_path / "b" / str(number),
            flat(number),
            InstanceNumber=number,
            AcquisitionTime=time,
            AcquisitionDate=date,
        )
    with pytest.raises(SequenceError, match="acquisition times without a date, perhaps over midnight"):
        read_images(tmp_path / "a")
    found = read_images(tmp_path / "b")
    assert (found.names, found.order) == (("1", "2"), "by acquisition time")


def test_temporal_positions_fix_an_order(tmp_path):
    place = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": AXIAL}
    for number in (1, 2, 3):
        save(tmp_path / str(number), flat(9), InstanceNumber=number, TemporalPositionIdentifier=4 - number, **place)
    found = read_images(tmp_path)
    assert (found.names, found.order) == (("3", "2", "1"), "by temporal position")
    assert "instance numbers tell another order; frames stand by temporal position" in found.notes


def test_windows_and_sizes_that_differ_are_told(tmp_path):
    """What a file asks for is done, but one grey is then not one value."""
    window = {"WindowCenter": "500", "WindowWidth": "1000"}
    for number, tags in enumerate((window, window, {**window, "WindowWidth": "900"}), start=1):
        save(tmp_path / "a" / str(number), ramp(0, 1000), InstanceNumber=number, **tags)
        size = (24, 32) if number < 3 else (24, 24)
        save(tmp_path / "b" / str(number), ramp(number, 1000, size=size), InstanceNumber=number, **window)
    told = "windows differ from frame to frame, so that one grey is not one value in all of them"
    assert told in read_images(tmp_path / "a").notes
    assert read_images(tmp_path / "b").notes == ("frames are of 2 sizes",)


def test_times_without_a_date_need_numbers_over_midnight(tmp_path):
    for name, number, time in (("a", 1, "235959"), ("b", None, "000001")):
        save(tmp_path / name, flat(9), InstanceNumber=number, AcquisitionTime=time)
    with pytest.raises(SequenceError, match="without a date, perhaps over midnight"):
        read_images(tmp_path)


def test_a_name_in_two_scripts_is_one_name(tmp_path):
    for number, name in enumerate(("Doe^Jane", "Doe^Jane=X^Y")):
        save(tmp_path / str(number), flat(9), InstanceNumber=number + 1, PatientName=name)
    assert len(read_images(tmp_path).frames) == 2


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        ("FrameAnatomySequence", [{"FrameLaterality": side} for side in "RRL"], "sides of the body"),
        (
            "MRImageFrameTypeSequence",
            [{"FrameType": ["ORIGINAL", "PRIMARY", kind, "NONE"]} for kind in ("LOCALIZER", "M", "M")],
            "localizers beside",
        ),
    ],
)
def test_what_no_file_holds_together_is_refused(tmp_path, group, values, words):
    """An enhanced object says it frame by frame."""
    with pytest.raises(SequenceError, match=f"one series, but images of 2 .*{words}"):
        read_images(enhanced(tmp_path / "a", [(group, each) for each in values]))
    assert len(read_images(enhanced(tmp_path / "b", [(group, values[1])] * 3)).frames) == 3


def test_pixels_of_each_frame_count(tmp_path):
    """Those of the first frame stood for all."""
    measures = "PixelMeasuresSequence"
    with pytest.raises(FileFormatError, match="the shape of its pixels differs from frame to frame"):
        read_images(
            enhanced(tmp_path / "a", [(measures, {"PixelSpacing": [1, 1]}), (measures, {"PixelSpacing": [2, 1]})])
        )
    told = "pixels are of several sizes in millimetres, so that one thing is not equally large in all frames"
    zoomed = enhanced(tmp_path / "b", [(measures, {"PixelSpacing": [1, 1]}), (measures, {"PixelSpacing": [2, 2]})])
    assert told in read_images(zoomed).notes
    for number, spacing in enumerate(([0.5, 0.5], [0.5, 0.5], [0.7, 0.7]), start=1):
        for folder in ("c", "d") if number < 3 else ("c",):
            tags = {"InstanceNumber": number, "PixelSpacing": spacing}
            save(tmp_path / folder / str(number), ramp(number, 255, np.uint8), **tags)
    assert told in read_images(tmp_path / "c").notes
    assert not read_images(tmp_path / "d").notes


def test_a_file_describes_all_the_frames_that_it_holds(tmp_path):
    window = ("FrameVOILUTSequence", {"WindowCenter": 100, "WindowWidth": 200})
    with pytest.raises(FileFormatError, match="describes 2 frames, but holds 3; export it again"):
        read_images(enhanced(tmp_path / "a", [window] * 2, NumberOfFrames=3))
    made = enhanced(tmp_path / "b", [window] * 3, NumberOfFrames=2, PixelData=bytes(2 * 24 * 32))
    assert "a file describes more frames than it holds: what it says first is taken for what it holds" in (
        read_images(made).notes
    )


def test_positions_of_two_frames_of_reference_are_none(tmp_path):
    paths = slices(tmp_path / "a", positions=[0, 1, 2, 3], numbers=[4, 3, 2, 1])
    assert read_images(paths).order == "by slice position along the normal"
    for space in ("1.2.3", "1.2.4"):
        place = {"ImagePositionPatient": [0, 0, int(space[-1])], "ImageOrientationPatient": AXIAL}
        save(tmp_path / "b" / space, flat(9), FrameOfReferenceUID=space, InstanceNumber=9 - int(space[-1]), **place)
    found = read_images(tmp_path / "b")
    assert (found.names, found.order) == (("1.2.4", "1.2.3"), "by instance number")
    assert any("planes of one frame of reference; positions do not count" in note for note in found.notes)


def test_frames_that_are_turned_in_their_plane_are_told(tmp_path):
    for number, row in enumerate((AXIAL, AXIAL, [0, 1, 0, -1, 0, 0]), start=1):
        place = {"ImagePositionPatient": [0, 0, number], "ImageOrientationPatient": row}
        save(tmp_path / str(number), ramp(number, 255, np.uint8), InstanceNumber=number, **place)
    assert read_images(tmp_path).notes == ("some frames are turned against others in their plane",)


@pytest.mark.parametrize(
    "tags",
    [
        {"AcquisitionDate": "20241027", "AcquisitionTime": "{}"},
        {"AcquisitionDateTime": "20241027{}"},
        {"AcquisitionTime": "{}"},
    ],
)
def test_the_hour_that_comes_twice_is_told_apart_by_the_zone_of_the_file(tmp_path, tags):
    """On 27 October 2024, clocks were turned back from 3 to 2: 02:59 in summer is before 02:01 in winter."""
    for name, number, time, zone in (("b", 1, "025900", "+0200"), ("a", 2, "020100", "+0100")):
        told = {tag: value.format(time) for tag, value in tags.items()}
        save(tmp_path / name, ramp(number, 255, np.uint8), TimezoneOffsetFromUTC=zone, InstanceNumber=number, **told)
    found = read_images(tmp_path)
    assert (found.names, found.order, found.notes) == (("b", "a"), "by acquisition time", ())


def test_times_with_and_without_a_zone_need_numbers(tmp_path):
    for name, number, time in (("a", 1, "20241027033000+0200"), ("b", 2, "20241027023000")):
        for folder, told in (("ok", number), ("no", 3 - number)):
            save(tmp_path / folder / name, flat(number), InstanceNumber=told, AcquisitionDateTime=time)
    assert read_images(tmp_path / "ok").names == ("a", "b")
    with pytest.raises(SequenceError, match="of which some name their time zone and others none"):
        read_images(tmp_path / "no")


@pytest.mark.parametrize("second", [{"PatientID": "7\\9"}, {"IssuerOfPatientIDQualifiersSequence": "1.2.4"}])
def test_all_of_an_identity_counts(tmp_path, second):
    """Numbers with what separates values in them, and who gave them, by UID."""
    issuers = "IssuerOfPatientIDQualifiersSequence"
    first = {"PatientID": "7\\8"} if issuers not in second else {issuers: "1.2.3"}
    for number, tags in enumerate((first, second), start=1):
        known = {key: [item(UniversalEntityID=value)] if key == issuers else value for key, value in tags.items()}
        save(tmp_path / str(number), flat(9), InstanceNumber=number, **known)
    with pytest.raises(SequenceError, match="holds images of 2 patients"):
        read_images(tmp_path)
