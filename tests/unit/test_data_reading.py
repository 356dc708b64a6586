"""Files of many kinds become raw images; files that are none are refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from heclstm.card.preparation import Preparation
from heclstm.data import reading
from heclstm.data.prepare import prepare
from heclstm.data.reading import read_frames, read_labels, read_volume, read_volumes, write_volumes
from heclstm.errors import FileFormatError, SequenceError
from heclstm.storage import arrays
from heclstm.storage.arrays import ArrayLimits

SHIPPED = Path(__file__).parents[2] / "examples" / "adrenal" / "volumes.npz"


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 7), dtype=np.uint8)


def test_numpy_files(tmp_path, volume):
    np.save(tmp_path / "a.npy", volume)
    np.savez_compressed(tmp_path / "a.npz", volume=volume)
    assert np.array_equal(read_volume(tmp_path / "a.npy"), volume)
    assert np.array_equal(read_volume(str(tmp_path / "a.npz")), volume)


@pytest.mark.parametrize("binary", [False, True], ids=["grey", "binary"])
def test_many_patients_in_one_file(tmp_path, volume, binary):
    volumes = np.stack([volume, volume[::-1], 255 - volume])
    if binary:
        volumes = np.where(volumes > 127, 255, 0).astype(np.uint8)
    path = tmp_path / "volumes.npz"
    write_volumes(path, volumes, np.array([0, 1, 1]))
    assert np.array_equal(read_volumes(path), volumes)
    assert read_volumes(path).dtype == np.uint8
    assert np.array_equal(read_volume(path, row=1), volumes[1])
    assert read_labels(path).tolist() == [0, 1, 1]
    assert ("packed_images" in np.load(path)) is binary
    with pytest.raises(SequenceError, match="got row 3, expected 0 to 2"):
        read_volume(path, row=3)


def test_the_shipped_volumes_are_the_official_test_part():
    volumes, labels = read_volumes(SHIPPED), read_labels(SHIPPED)
    assert volumes.shape == (298, 28, 28, 28)
    assert set(np.unique(volumes)) == {0, 255}
    assert (len(labels), int(labels.sum())) == (298, 69)


def test_labels_may_be_absent(tmp_path, volume):
    np.savez(tmp_path / "a.npz", volume=volume)
    assert read_labels(tmp_path / "a.npz") is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.0, np.nan]), "1 of 2 labels are no whole numbers from 0, the first in row 1"),
        (np.array([0.0, 0.7]), "1 of 2 labels are no whole numbers from 0"),
        (np.array([-1, 1]), "1 of 2 labels are no whole numbers from 0"),
        (np.array([0, 2]), "1 of 2 labels are above 1, expected 0 and 1"),
        (np.eye(2, dtype=int), r"got labels of shape \(2, 2\), expected one for each sequence"),
        (np.array(1), r"got labels of shape \(\), expected one"),
        (np.array(["no", "yes"]), "its values are no plain numbers"),
    ],
)
def test_labels_are_negative_or_positive(tmp_path, volume, labels, message):
    """A cast to whole numbers made NaN and 0.7 a negative patient."""
    np.savez(tmp_path / "a.npz", volume=volume, labels=labels)
    with pytest.raises(FileFormatError, match=message):
        read_labels(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "labels", [np.array([0, 1]), np.array([[0], [1]]), np.array([False, True]), np.array([0.0, 1])]
)
def test_labels_of_any_kind_of_number(tmp_path, volume, labels):
    np.savez(tmp_path / "a.npz", volume=volume, labels=labels)
    assert read_labels(tmp_path / "a.npz").tolist() == [0, 1]


def test_pictures_in_folders_and_lists(tmp_path, volume):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the report extra")
    for index, grey in enumerate(volume):
        image.fromarray(grey).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert np.array_equal(read_volume(tmp_path), volume)
    assert np.array_equal(read_volume(tmp_path, slice_axis=2), np.moveaxis(volume, 0, 2))
    assert np.array_equal(read_volume([tmp_path / "3.png", tmp_path / "0.png"]), volume[[3, 0]])
    assert np.array_equal(read_volume(tmp_path / "2.png"), volume[2:3])
    colour = tmp_path / "colour"
    colour.mkdir()
    image.fromarray(np.stack([volume[0]] * 3, axis=-1)).save(colour / "1.png")
    assert read_volume(colour).shape == (1, 3, 6, 7)
    image.fromarray(volume[0, :3]).convert("RGB").save(colour / "2.jpg")
    with pytest.raises(SequenceError, match="got pictures of different sizes"):
        read_volume(colour)


def test_pickles_are_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([{"a": 1}], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FileFormatError, match="is no NumPy file of plain numbers"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"hello", "no image: got the ending .txt, expected .npy, .npz, PNG, JPEG, DICOM"),
        ("a.npy", b"hello", "is no NumPy file"),
        ("a.npz", b"PK\x03\x04 truncated", "is no NumPy file"),
        ("a.npz", b"", "is no NumPy file"),
        ("a.png", b"\x89PNG", "a.png: no image: not readable as PNG or JPEG"),
    ],
)
def test_files_that_are_no_image_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_volume(tmp_path / name)


def test_other_wrong_inputs_are_refused(tmp_path, volume):
    with pytest.raises(FileFormatError, match=r"a.npy: no image: cannot be read \(No such file"):
        read_volume(tmp_path / "a.npy")
    with pytest.raises(SequenceError, match="got 0 pictures or DICOM files"):
        read_volume(tmp_path)
    np.savez(tmp_path / "two.npz", a=volume, b=volume)
    with pytest.raises(FileFormatError, match=r"got arrays \['a', 'b'\], expected exactly one"):
        read_volume(tmp_path / "two.npz")
    np.savez(tmp_path / "packed.npz", packed_images=np.zeros(3, np.uint8), shape=np.array([4, 4, 4]))
    with pytest.raises(FileFormatError, match=r"got 3 packed bytes for a shape of \(4, 4, 4\), expected 8"):
        read_volumes(tmp_path / "packed.npz")


def claim(path, shape, kind="<f4"):
    """A .npy file of 128 bytes or so whose header promises more."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})


def test_arrays_larger_than_their_file_are_refused_before_they_are_allocated(tmp_path):
    claim(tmp_path / "a.npy", (200_000, 1_000_000))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "images.npy")
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FileFormatError, match=r"its header says 8000000001\d\d"):
            read_volume(tmp_path / name)


def test_archives_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch, volume):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros(100_000, np.uint8))
    monkeypatch.setattr(reading, "LIMITS", ArrayLimits(unpacked=100_000))
    with pytest.raises(FileFormatError, match="unpacks to 100128 bytes, expected at most 100000"):
        read_volume(tmp_path / "a.npz")
    packed = {"packed_images": np.zeros(20_000, np.uint8), "shape": np.array([160_000])}
    np.savez_compressed(tmp_path / "bits.npz", **packed)
    with pytest.raises(FileFormatError, match="unpacks to 160000 bytes"):
        read_volumes(tmp_path / "bits.npz")
    np.savez(tmp_path / "wraps.npz", packed_images=np.zeros(0, np.uint8), shape=np.array([2**32, 2**32]))
    with pytest.raises(FileFormatError, match="unpacks to"):
        read_volumes(tmp_path / "wraps.npz")
    np.savez(tmp_path / "text.npz", packed_images=np.zeros(0, np.uint8), shape=np.array(["a"]))
    with pytest.raises(FileFormatError, match="its values are no plain numbers"):
        read_volumes(tmp_path / "text.npz")
    np.savez(tmp_path / "text.npz", packed_images=np.zeros(0, np.uint8), shape=np.array([8.0]))
    with pytest.raises(FileFormatError, match="as a shape, expected up to 8 integers"):
        read_volumes(tmp_path / "text.npz")


def test_too_little_memory_is_an_error_of_the_file(tmp_path, monkeypatch, volume):
    def allocate(*arguments, **options):
        raise MemoryError

    np.save(tmp_path / "a.npy", volume)
    monkeypatch.setattr(arrays, "bytearray", allocate, raising=False)
    with pytest.raises(FileFormatError, match="does not fit into the memory"):
        read_volume(tmp_path / "a.npy")


def test_damaged_and_foreign_archives_are_refused(tmp_path, volume):
    np.savez_compressed(tmp_path / "a.npz", volume=volume)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "damaged.npz").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", b"x")
    for name in ("damaged.npz", "lzma.npz"):
        with pytest.raises(FileFormatError, match="is no NumPy file of plain numbers"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.astype(">f4"),
        lambda values: values.astype(np.float16),
        lambda values: np.asfortranarray(values),
        lambda values: values[:, :, ::-1][:, :, ::-1],
    ],
    ids=["big endian", "half precision", "columns first", "views"],
)
def test_arrays_may_be_laid_out_in_any_way(tmp_path, change):
    values = np.random.default_rng(0).integers(0, 2, (3, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "a.npy", change(values))
    prepared = prepare(read_frames(tmp_path / "a.npy"), Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8))
    assert np.array_equal(prepared.frames, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.full((3, 1, 8, 8), 4000, np.uint16),
            "no image: got values of type uint16, expected bool, uint8 or floating",
        ),
        (np.full((3, 1, 8, 8), 9), "no image: got values of type int64"),
        (np.full((3, 1, 8, 8), 1j), "no image: got values of type complex128"),
        (np.full((3, 1, 8, 8), 200.0), r"192 values outside \[0, 1\]"),
        (np.full((3, 1, 8, 8), -0.1), r"192 values outside \[0, 1\]"),
        (np.full((3, 1, 8, 8), np.nan), "192 values that are NaN or infinite"),
        (np.full((3, 1, 8, 8), np.inf), "192 values that are NaN or infinite"),
        (np.zeros((0, 1, 8, 8)), "number of frames: got 0, expected 3"),
        (np.zeros((3, 8, 8, 1)), "number of channels: got 8, expected 1"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(SequenceError, match=message):
        prepare(read_frames(tmp_path / "a.npy"), Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8))


@pytest.mark.parametrize(
    "header", [b"{}", b"{'descr'", b"'" * 70, b"(" * 70, b"\xff" * 70, b"{'descr': '', 'shape': ()}", b""]
)
def test_headers_that_break_their_parser_are_errors_of_the_file(tmp_path, header):
    """NumPy reads them as Python: a token that never ends, a bracket too deep, an empty type."""
    text = header.ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    with pytest.raises(FileFormatError, match=r"a\.npy: "):
        read_volume(tmp_path / "a.npy")
