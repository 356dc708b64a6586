"""Many DICOM files: whose they are, which series, in which order, and what is missing or there twice."""

import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

import dataset_trees
import dicom_kit
from dicom_kit import AXIAL, flat, item, levels, save, slices, uid
from heclstm.data.datasets import load_dataset
from heclstm.data.dicom import Selection
from heclstm.data.images import read_images
from heclstm.errors import FileFormatError, SequenceError

TREE = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"


def test_slices_stand_along_their_normal_whatever_their_names_and_numbers_say(tmp_path):
    for kind, numbers in (("absent", None), ("same", [1, 1, 1, 1]), ("right", [1, 2, 3, 4]), ("wrong", [2, 4, 1, 3])):
        slices(tmp_path / kind, positions=[-3, 0.5, 4, 7.5], numbers=numbers)
        images = read_images(tmp_path / kind)
        assert levels(images) == [0, 1, 2, 3]
        assert images.order == "by slice position along the normal"
        told = any("instance numbers tell another order" in note for note in images.notes)
        assert told == (kind == "wrong")


def test_a_sagittal_stack_is_ordered_along_its_own_normal(tmp_path):
    """Rows run along −z, columns along y: the normal is (0, 1, 0) × (0, 0, −1) = (−1, 0, 0)."""
    for z in range(4):
        save(
            tmp_path / f"{z}", flat(20 * (z + 1)), SOPInstanceUID=uid(z), ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
            ImagePositionPatient=[-5.0 * z, 3, 9],
        )  # fmt: skip
    assert levels(read_images(tmp_path)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ([{"AcquisitionDateTime": f"20240131235959.{9 - z}00000"} for z in range(4)], "by acquisition time"),
        (
            [{"AcquisitionDate": "20240131", "AcquisitionTime": f"10{50 - z}00"} for z in range(4)],
            "by acquisition time",
        ),
        ([{"AcquisitionTime": "100000", "TriggerTime": 400 - 100 * z} for z in range(4)], "by trigger time"),
        ([{"TriggerTime": 0, "InstanceNumber": 9 - z} for z in range(4)], "by instance number"),
    ],
)
def test_without_positions_times_and_then_numbers_decide(tmp_path, tags, reason):
    for z, extra in enumerate(tags):
        save(tmp_path / f"{z}", flat(20 * (z + 1)), **extra)
    images = read_images(tmp_path)
    assert levels(images) == [3, 2, 1, 0]
    assert images.order == reason


def test_pictures_of_one_plane_over_time(tmp_path):
    """One position for all: it decides nothing."""
    for z in range(3):
        save(
            tmp_path / f"{z}", flat(20 * (z + 1)), ImageOrientationPatient=AXIAL, ImagePositionPatient=[0, 0, 5],
            AcquisitionDateTime=f"2024013110000{3 - z}",
        )  # fmt: skip
    assert levels(read_images(tmp_path)) == [2, 1, 0]


@pytest.mark.parametrize("number", [None, 1, "text", "1.5", "456115117112105110101", "1\\2"])
def test_what_fixes_no_order_is_refused(tmp_path, number):
    for z in range(2):
        path = save(tmp_path / f"im{z}", flat(20 * (z + 1)), InstanceNumber=None if number is None else 7)
        if isinstance(number, str):
            path.write_bytes(_with_number(path.read_bytes(), number.encode()))
    with pytest.raises(SequenceError, match="nothing in these 2 files fixes an order: .* instance numbers are absent"):
        read_images(tmp_path)
    assert len(read_images([tmp_path / "im1", tmp_path / "im0"], as_given=True).frames) == 2


def _with_number(content, value):
    value += b" " * (len(value) % 2)
    place = content.index(b"\x20\x00\x13\x00IS")
    old = int.from_bytes(content[place + 6 : place + 8], "little")
    return content[: place + 6] + len(value).to_bytes(2, "little") + value + content[place + 8 + old :]


def test_several_times_at_each_position_are_refused(tmp_path):
    for z in range(4):
        save(
            tmp_path / f"{z}", flat(20 * (z + 1)), ImageOrientationPatient=AXIAL, ImagePositionPatient=[0, 0, z // 2],
            InstanceNumber=z + 1,
        )  # fmt: skip
    with pytest.raises(SequenceError, match="4 frames stand at 2 slice positions, so that several share one"):
        read_images(tmp_path)


def test_gaps_are_told(tmp_path):
    slices(tmp_path / "a", count=5, positions=[0, 1, 2, 4, 5], numbers=[1, 2, 3, 5, 6])
    assert read_images(tmp_path / "a").notes[:2] == (
        "images may be missing: there are gaps between instance numbers (1)",
        "slices may be missing: there are gaps between slice positions (1)",
    )
    slices(tmp_path / "b", count=4, positions=[0, 1.25, 2.5, 3.75], numbers=[10, 20, 30, 40])
    assert not any("missing" in note for note in read_images(tmp_path / "b").notes)


def enhanced(path, places, **tags):
    """A multi-frame object whose frames stand at `places` (of position, of dimension), level 20·(row + 1)."""
    frames = []
    for position, dimension in places:
        content = item(DimensionIndexValues=dimension) if dimension else item()
        frame = item(FrameContentSequence=[content])
        if position is not None:
            frame.PlanePositionSequence = [item(ImagePositionPatient=[0, 0, position])]
        frames.append(frame)
    shared = item(PlaneOrientationSequence=[item(ImageOrientationPatient=AXIAL)])
    pixels = np.stack([flat(20 * (row + 1)) for row in range(len(places))])
    groups = {"PerFrameFunctionalGroupsSequence": frames, "SharedFunctionalGroupsSequence": [shared]}
    return save(path, pixels, **groups, **tags)


def test_enhanced_frames_do_not_stand_as_they_are_stored(tmp_path):
    by_position = read_images(enhanced(tmp_path / "a", [(4.0, [1, 1]), (0.0, [1, 2]), (2.0, [1, 3])]))
    assert (levels(by_position), by_position.order) == ([1, 2, 0], "by slice position along the normal")
    by_dimension = read_images(enhanced(tmp_path / "b", [(None, [1, 3]), (None, [1, 1]), (None, [1, 2])]))
    assert (levels(by_dimension), by_dimension.order) == ([1, 2, 0], "by dimension index")
    times = enhanced(tmp_path / "c", [(0.0, [2, 1]), (0.0, [1, 1]), (5.0, [2, 2]), (5.0, [1, 2])])
    with pytest.raises(SequenceError, match="4 frames stand at 2 slice positions, so that several share one"):
        read_images(times)  # two volumes, which were read as one of twice as many slices
    stored = read_images(enhanced(tmp_path / "d", [(None, None), (None, None)]))
    assert (levels(stored), stored.order) == ([0, 1], "as the file holds its frames")


def test_a_series_of_several_objects_with_many_frames(tmp_path):
    """A concatenation: positions run through all of its files."""
    enhanced(tmp_path / "one", [(1.0, [1]), (3.0, [2])], InstanceNumber=1)
    enhanced(tmp_path / "two", [(0.0, [3]), (2.0, [4])], InstanceNumber=2)
    assert levels(read_images(tmp_path)) == [0, 0, 1, 1]


def test_cine_clips_of_one_series_stand_by_time_then_frame(tmp_path):
    for number in (1, 2):
        pixels = np.stack([flat(20 * (3 * number + frame - 2)) for frame in range(3)])
        save(tmp_path / f"c{3 - number}", pixels, AcquisitionDateTime=f"2024010110{number}000", FrameTime=40)
    assert levels(read_images(tmp_path)) == [0, 1, 2, 3, 4, 5]


def test_two_patients_two_series_two_studies_are_refused_with_the_choice(tmp_path):
    two = tmp_path / "two"
    slices(two, count=2, numbers=[1, 2], PatientID="marked-A")
    slices(two / "b", count=2, numbers=[1, 2], PatientID="marked-B", SeriesInstanceUID=uid("b"))
    with pytest.raises(
        SequenceError, match="two: holds images of 2 patients; give the folder or the files of one"
    ) as seen:
        read_images(two)
    assert "marked" not in str(seen.value)
    with pytest.raises(SequenceError, match="holds images of 2 patients"):
        read_images(sorted(file for file in two.rglob("*") if file.is_file()), as_given=True)
    for number, name in enumerate(("Marked^A", "Marked^B")):  # without IDs, names tell them apart
        save(tmp_path / "names" / name, flat(number), PatientID="", PatientName=name, InstanceNumber=number + 1)
    with pytest.raises(SequenceError, match="names: holds images of 2 patients"):
        read_images(tmp_path / "names")
    for tag, values in (
        ("PatientBirthDate", ("19500131", "19720101")), ("IssuerOfPatientID", ("here", "there")),
        ("PatientName", ("Marked^A", "Marked^B")), ("PatientSex", ("F", "M")),
    ):  # fmt: skip
        for number, value in enumerate(values):  # one ID, such as of all who were made anonymous
            save(tmp_path / tag / str(number), flat(number), InstanceNumber=number + 1, **{tag: value})
        with pytest.raises(SequenceError, match="holds images of 2 patients"):
            read_images(tmp_path / tag)
        with pytest.raises(SequenceError, match="holds images of 2 patients"):
            read_images([tmp_path / tag / "0", tmp_path / tag / "1"], as_given=True)
        save(tmp_path / tag / "1", flat(1), InstanceNumber=2)  # one that does not say it speaks against nobody
        assert len(read_images(tmp_path / tag).frames) == 2
    study = tmp_path / "study"
    slices(study / "a", count=3, numbers=[1, 2, 3], Modality="US", SeriesDescription="long axis", SeriesNumber=1)
    slices(
        study / "b", count=2, numbers=[1, 2], Modality="CT", SeriesDescription="Doe^J 1970-01-31 chest", SeriesNumber=2,
        SeriesInstanceUID=uid("b"), StudyInstanceUID=uid("other"), PatientName="Doe^J", BodyPartExamined="CHEST",
    )  # fmt: skip
    with pytest.raises(SequenceError) as refused:
        read_images(study)
    text = str(refused.value)
    assert "study: holds 2 series of 2 studies, expected one: " in text
    assert "1: US “long axis”, 3 frames; 2: CT CHEST “…^J … chest”, 2 frames; choose one by --series" in text
    for rule, count in (
        ({"series": 2}, 2), ({"modality": ["us"]}, 3), ({"description": "LONG*"}, 3), ({"body_part": ["chest"]}, 2),
        ({"frames": [3, 10]}, 3),
    ):  # fmt: skip
        assert len(read_images(study, selection=Selection.of(rule)).frames) == count
    with pytest.raises(SequenceError, match="of which none of them fits the rules"):
        read_images(study, selection=Selection(modality=("MR",)))


def test_an_image_that_is_there_twice_counts_once(tmp_path):
    paths = slices(tmp_path, count=3, numbers=[1, 2, 3])
    shutil.copy(paths[0], tmp_path / "copy (1)")
    images = read_images(tmp_path)
    assert levels(images) == [0, 1, 2]
    assert "1 files are copies of others, and count once" in images.notes
    data_set = pydicom.dcmread(paths[0])
    data_set.PixelData = flat(200).tobytes()
    data_set.save_as(tmp_path / "copy (1)")
    with pytest.raises(SequenceError, match="differ, and say that they are the same image; remove one"):
        read_images(tmp_path)


def test_a_slice_that_was_copied_badly_is_no_file_beside(tmp_path):
    """Among files without an ending, one that is empty."""
    slices(tmp_path, count=3, names=["IM1", "IM2", "IM3"], numbers=[1, 2, 3])
    (tmp_path / "IM4").write_bytes(b"")
    with pytest.raises(FileFormatError, match="IM4: no image: not a DICOM file, as others without an ending beside it"):
        read_images(tmp_path)
    (tmp_path / "IM4").rename(tmp_path / "IM4.txt")
    assert read_images(tmp_path).notes[0] == "1 files beside are no images: IM4.txt"


def test_folders_archives_and_directories_give_the_same_sequence(tmp_path):
    paths = slices(tmp_path / "a" / "b" / "c", numbers=[1, 2, 3, 4])
    (tmp_path / "a" / "report.txt").write_text("not an image")
    _report(tmp_path / "a" / "sr")
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"x/{path.name}")
    renamed = packed.rename(tmp_path / "packed")  # no ending
    for source in (tmp_path / "a", renamed, paths, random.sample(paths, 4)):
        assert levels(read_images(source)) == [0, 1, 2, 3]
    notes = read_images(tmp_path / "a").notes
    assert "1 files beside are no images: report.txt" in notes
    assert "1 DICOM files beside hold no pixels (such as reports)" in notes
    with pytest.raises(FileFormatError, match="a DICOM file without pixels"):
        read_images(tmp_path / "a" / "sr")
    with pytest.raises(SequenceError, match="as given: 1 of 2 files hold no pixels"):
        read_images([paths[0], tmp_path / "a" / "sr"], as_given=True)


def _report(path):
    data_set = dicom_kit.data_set(flat(1))
    del data_set.PixelData
    data_set.save_as(path, enforce_file_format=True)


def test_a_hospitals_disc_is_read_by_its_directory(tmp_path):
    """pydicom's own: two patients on it, files without any ending."""
    with pytest.raises(SequenceError, match="DICOMDIR: holds images of 2 patients"):
        read_images(TREE / "DICOMDIR")
    one = read_images(TREE / "98892001" / "CT5N")
    assert (len(one.frames), one.order) == (5, "by slice position along the normal")
    shutil.copytree(TREE / "98892003", tmp_path / "98892003")
    with pytest.raises(
        SequenceError, match="holds 7 series of 3 studies, expected one: 1: MR “FAST LOCALIZER”, 1 frames; 2: "
    ):
        read_images(tmp_path)
    shutil.copy(TREE / "DICOMDIR", tmp_path)
    with pytest.raises(FileFormatError, match=r"DICOMDIR: lists 31 images, of which 14 are not there"):
        read_images(tmp_path / "DICOMDIR")
    with pytest.raises(SequenceError, match="holds 7 series of 3 studies"):
        read_images(tmp_path)  # a folder is what lies in it


def test_writing_in_the_pixels_is_refused_accepted_or_masked(tmp_path):
    path = save(tmp_path / "a", np.full((6, 8), 200, np.uint8), BurnedInAnnotation="YES")
    with pytest.raises(FileFormatError, match=r"writing is burnt into its pixels; allow it by --select"):
        read_images(path)
    assert read_images(path, selection=Selection(burnt_in="accept")).frames[0].min() == 200
    masked = read_images(path, selection=Selection(burnt_in="mask", mask=((0, 0, 2, 8), (5, 6, 99, 99)))).frames[0][0]
    assert masked[:2].max() == masked[5:, 6:].max() == 0
    assert masked[2:5].min() == masked[5, :6].min() == 200
    assert read_images(save(tmp_path / "b", flat(9), BurnedInAnnotation="NO")).frames[0].max() == 9


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('colour = "x"', "got colour, expected some of series, modality"),
        ('modality = "US"', 'modality: expected a list of texts, such as \\["US"\\]'),
        ("frames = [3]", "frames: expected two whole numbers"),
        ("frames = [3, 2]", "frames: expected two whole numbers"),
        ('burnt_in = "ignore"', "burnt_in: expected one of refuse, accept, mask"),
        ('burnt_in = "mask"', "mask: expected boxes where burnt_in is mask"),
        ('burnt_in = "mask"\nmask = [[5, 0, 1, 1]]', "mask: expected boxes of top, left, bottom, right"),
        ("series = -1", "series: expected a whole number"),
        ("description = 3", "description: expected a text"),
        ("modality = 3", "modality: expected a list of texts"),
        ("=", "is no TOML"),
        ("series = true", "series: expected a whole number"),
        ("modality = { US = 1 }", "modality: expected a list of texts"),
        ("x = " + "9" * 5000, "is no TOML"),
    ],
)
def test_rules_are_checked(tmp_path, rules, message):
    path = tmp_path / "rules.toml"
    path.write_text(rules)
    with pytest.raises(FileFormatError, match=message):
        Selection.load(path)


def test_clips_of_patients_who_are_all_called_the_same_are_refused(tmp_path):
    """As in de-identified collections."""
    rng = np.random.default_rng(0)
    for name in ("positive", "negative"):
        for number in range(6):
            pixels = rng.integers(0, 256, (3, 8, 8), dtype=np.uint8)
            save(tmp_path / name / f"{name}-{number}" / "clip.dcm", pixels, PatientID="ANONYMOUS")
    with pytest.raises(
        FileFormatError, match="DICOM files of 12 patients' folders or clips name one and the same patient"
    ):
        load_dataset("clips", tmp_path)
    splits = load_dataset("clips", tmp_path, {"patient": "folder"})
    assert len({*splits.train.patients, *splits.validation.patients, *splits.test.patients}) == 12
    one = load_dataset("clips", tmp_path, {"patient": "file"})
    assert {*one.train.patients, *one.validation.patients, *one.test.patients} == {"negative-0"}


def test_a_folder_of_clips_holds_clips_of_all_kinds(tmp_path):
    """A patient with a folder of slices, one of pictures, two clips and the slices of a series in his own folder."""
    for number in range(4):
        home = tmp_path / ("negative", "positive")[number % 2] / f"patient-{number}"
        ids = {"PatientID": f"p{number}", "StudyInstanceUID": uid(number)}
        slices(home / "scan", numbers=[1, 2, 3, 4], SeriesInstanceUID=uid((number, "scan")), **ids)
        dataset_trees.picture(home / "photos" / "1.png", seed=10 * number)
        dataset_trees.picture(home / "photos" / "2.png", seed=10 * number + 1)
        for clip in (1, 2):
            pixels = np.stack([flat(number), flat(clip), flat(9)])
            save(home / f"clip{clip}.dcm", pixels, SeriesInstanceUID=uid((number, clip)), **ids)
        for z in (1, 2):
            single = flat(40 * z + number)
            save(home / f"slice{z}.dcm", single, InstanceNumber=z, SeriesInstanceUID=uid((number, 3)), **ids)
    splits = load_dataset("clips", tmp_path)
    parts = (splits.train, splits.validation, splits.test)
    lengths = {name: len(images) for part in parts for name, images in zip(part.names, part.images, strict=True)}
    own = {name.split("/", 2)[2]: length for name, length in lengths.items() if name.startswith("negative/patient-0/")}
    assert own == {"scan": 4, "photos": 2, "clip1.dcm": 3, "clip2.dcm": 3, "slice1.dcm": 2}
    assert len(lengths) == 20
    dataset_trees.picture(tmp_path / "negative" / "stray.png")
    with pytest.raises(FileFormatError, match="stray.png: lies in the folder of a class"):
        load_dataset("clips", tmp_path)


def test_clocks_that_are_turned_back_do_not_turn_the_order(tmp_path):
    """02:30 of summer time is before 02:10 of the winter time that follows it."""
    for number, moment in enumerate(("20241027023000+0200", "20241027021000+0100")):
        save(tmp_path / str(number), flat(10 + number), InstanceNumber=number + 1, AcquisitionDateTime=moment)
    images = read_images(tmp_path)
    assert [int(frame[0, 0, 0]) for frame in images.frames] == [10, 11]
    assert images.order == "by acquisition time"
    assert not any("another order" in note for note in images.notes)


def test_times_against_instance_numbers_are_told_even_where_they_run_backwards(tmp_path):
    """A stack may be numbered from either end, an examination may not."""
    for number, time in enumerate(("120002", "120001")):
        tags = {"AcquisitionTime": time, "AcquisitionDate": "20240131"}
        save(tmp_path / str(number), flat(10 + number), InstanceNumber=number + 1, **tags)
    assert "instance numbers tell another order; frames stand by acquisition time" in read_images(tmp_path).notes
