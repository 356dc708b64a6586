"""DICOM files: multi-frame clips, windows, colours, series, and what is none."""

import sys

import numpy as np
import pytest

import dataset_trees
from heclstm.data.datasets import load_dataset
from heclstm.data.dicom import read_dicom, read_patient
from heclstm.data.reading import read_frames
from heclstm.errors import FileFormatError, HeclstmError

pytest.importorskip("pydicom", reason="DICOM comes with the extra heclstm[dicom]")
CLIP = np.random.default_rng(0).integers(0, 256, (5, 6, 8), dtype=np.uint8)


def test_a_clip_is_read_as_it_is(tmp_path):
    file = read_dicom(dataset_trees.dicom(tmp_path / "a.dcm", CLIP, number=7))
    assert np.array_equal(np.stack(file.frames)[:, 0], CLIP)
    assert file.number == 7
    assert np.array_equal(np.stack(read_frames(tmp_path / "a.dcm"))[:, 0], CLIP)


def test_colour(tmp_path):
    colour = np.stack([CLIP, 255 - CLIP, CLIP // 2], axis=-1)
    frames = read_dicom(dataset_trees.dicom(tmp_path / "a.dcm", colour)).frames
    assert np.array_equal(np.stack(frames), colour.transpose(0, 3, 1, 2))


def test_the_window_of_the_file_is_used(tmp_path):
    deep = np.array([[[0, 1000, 1500, 2000, 65535]]], np.uint16)
    path = dataset_trees.dicom(tmp_path / "a.dcm", deep, WindowCenter=1500, WindowWidth=1000)
    # PS3.3 C.11.2.1.2: ((x − 1499.5) / 999 + 0.5) · 255 for 1000 < x ≤ 1999
    assert read_dicom(path).frames[0].ravel().tolist() == [0, 0, 128, 255, 255]
    plain = dataset_trees.dicom(tmp_path / "b.dcm", deep)
    assert read_dicom(plain).frames[0].ravel().tolist() == [0, 4, 6, 8, 255]
    rescaled = dataset_trees.dicom(
        tmp_path / "c.dcm", deep, WindowCenter=500, WindowWidth=1000, RescaleSlope=1, RescaleIntercept=-1000
    )
    assert read_dicom(rescaled).frames[0].ravel().tolist() == [0, 0, 128, 255, 255]


def test_monochrome1_is_black_on_white(tmp_path):
    path = dataset_trees.dicom(tmp_path / "a.dcm", CLIP, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(np.stack(read_dicom(path).frames)[:, 0], 255 - CLIP)


def test_real_files():
    """pydicom's own examples: a palette, an ultrasound clip in YBR, a CT slice without a window."""
    from pydicom import examples

    colours = read_dicom(examples.get_path("palette_color")).frames
    assert colours[0].shape == (3, 350, 800)
    assert np.ptp(colours[0], axis=0).max() > 0
    clip = read_dicom(examples.get_path("ybr_color")).frames
    assert (len(clip), clip[0].shape) == (30, (3, 240, 320))
    assert not np.array_equal(clip[0], clip[-1])
    slices = read_dicom(examples.get_path("ct")).frames
    # it names no window, so its values, spread over 2,063 of 65,536, become nine greys
    assert slices[0].shape == (1, 128, 128)
    assert np.ptp(slices[0]) == 8


def test_a_series_stands_in_the_order_of_its_numbers(tmp_path):
    for number, name in ((2, "a"), (3, "b"), (1, "c")):
        dataset_trees.dicom(tmp_path / f"{name}.dcm", CLIP[number : number + 1], number=number)
    assert np.array_equal(np.stack(read_frames(tmp_path))[:, 0], CLIP[1:4])


def test_clips_of_a_patient_stay_together_by_what_the_files_say(tmp_path):
    for row in range(12):
        name = ("negative", "positive")[row % 2]
        pixels = np.roll(CLIP, row)
        dataset_trees.dicom(tmp_path / name / f"scan-{row}.dcm", pixels, patient=f"p{row // 4}{name}")
    splits = load_dataset("clips", tmp_path)
    assert set(splits.train.patients) | set(splits.validation.patients) | set(splits.test.patients) == {
        f"p{row}{name}" for row in range(3) for name in ("negative", "positive")
    }
    assert np.stack(splits.train.images[0]).shape == (5, 1, 6, 8)


def _without_pixels(path):
    import pydicom

    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"hello"), "not a DICOM file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-50]), "its pixels cannot be decoded"),
        (lambda path: _without_pixels(path), "a DICOM file without pixels"),
        (lambda path: path.unlink(), r"cannot be read \(No such file"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, spoil, message):
    path = dataset_trees.dicom(tmp_path / "a.dcm", CLIP)
    spoil(path)
    with pytest.raises(FileFormatError, match=rf"a\.dcm: no image: {message}"):
        read_dicom(path)
    assert read_patient(tmp_path / "b.dcm") == ""


def test_without_pydicom_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for read in (read_dicom, read_patient):
        with pytest.raises(HeclstmError, match=r"reading DICOM needs pydicom; pip install 'heclstm\[dicom\]'"):
            read(tmp_path / "a.dcm")
