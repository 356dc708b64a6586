"""Files of one series that no sequence holds together, and what differs from frame to frame."""

import pytest

from dicom_kit import AXIAL, flat, ramp, save
from heclstm.data.images import read_images
from heclstm.errors import SequenceError


@pytest.mark.parametrize(
    ("tag", "one", "other", "words"),
    [
        ("Modality", "CT", "MR", "kinds of devices"),
        ("Laterality", "L", "R", "sides of the body"),
        ("ImageLaterality", "L", "R", "sides of the body"),
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
        save(tmp_path / "b" / str(number), ramp(0, 1000, size=size), InstanceNumber=number, **window)
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
