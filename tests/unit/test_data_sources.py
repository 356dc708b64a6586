"""Files as they lie in folders and archives: what each is, what lies beside, what is no file at all."""

import os
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

import dataset_trees
from dicom_kit import flat, save, slices, uid
from heclstm.data import sources
from heclstm.data.images import read_images
from heclstm.data.reading import read_frames
from heclstm.errors import FileFormatError, SequenceError
from heclstm.storage import archive


def pictures(folder, count=3):
    for number in range(count):
        dataset_trees.picture(folder / f"{number}.png", seed=number, size=(6, 6))
    return folder


def test_an_ending_proves_nothing(tmp_path):
    """A PACS writes none, Siemens writes .IMA, and one of a series may have lost it."""
    for folder, names in (("none", None), ("ima", ["1.IMA", "2.IMA", "3.ima"]), ("mixed", ["1.dcm", "2.dcm", "3"])):
        slices(tmp_path / folder, count=3, names=names, numbers=[1, 2, 3])
        assert len(read_images(tmp_path / folder).frames) == 3
    assert len(read_images(save(tmp_path / "single", flat(1))).frames) == 1
    picture = dataset_trees.picture(tmp_path / "p" / "1.png", size=(4, 4)).rename(tmp_path / "p" / "photo")
    assert read_images(picture).frames[0].shape == (3, 4, 4)


def test_what_systems_leave_behind_is_passed_over_and_other_files_are_named(tmp_path):
    pictures(tmp_path)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    (tmp_path / "__MACOSX").mkdir()
    dataset_trees.picture(tmp_path / "__MACOSX" / "9.png")
    (tmp_path / ".hidden").mkdir()
    dataset_trees.picture(tmp_path / ".hidden" / "8.png")
    assert not read_images(tmp_path).notes
    (tmp_path / "a.xml").write_text("<a/>")
    (tmp_path / "letter").write_text("")
    images = read_images(tmp_path)
    assert images.notes == ("2 files beside are no images: a.xml, letter",)
    assert len(images.frames) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("3.tif", b"II*\0", r"3\.tif: no image: of a kind that is not read; convert it to PNG or DICOM"),
        ("3", b"GIF89a", "3: no image: of a kind that is not read"),
        ("clip.mp4", b"\0\0\0 ftyp", "clip.mp4: no image: of a kind that is not read"),
        ("scan.nii.gz", b"\x1f\x8b", "scan.nii.gz: no image: of a kind that is not read"),
        ("3.png.gz", b"\x1f\x8b", "3.png.gz: no image: of a kind that is not read"),
        ("3.png.part", b"", "3.png.part: no image: of a kind that is not read"),
        ("3.PPM", b"P6", "3.PPM: no image: of a kind that is not read"),
        ("3.jfif", b"", "3.jfif: no image: of a kind that is not read"),
        ("more.7z", b"7z", "more.7z: no image: of a kind that is not read"),
        ("3", b"BM\x36\x01\0\0\0\0\0\0", "3: no image: of a kind that is not read"),
        ("3", b"\0\0\0\x18ftypheic", "3: no image: of a kind that is not read"),
        ("3", b"8BPS\0\1", "3: no image: of a kind that is not read"),
        ("3.png", b"no picture", r"3\.png: no image: not readable as PNG or JPEG"),
        ("3.dcm", b"no image", r"3\.dcm: no image: not a DICOM file"),
        ("IM3", b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", "IM3: no image: not a DICOM file: its preamble is missing"),
        ("more.zip", b"PK\x03\x04", "more.zip: no image: got the ending .zip"),
    ],
)
def test_what_may_be_a_frame_is_never_passed_over(tmp_path, name, content, message):
    (pictures(tmp_path) / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_images(tmp_path)


def test_pictures_beside_dicom_are_refused(tmp_path):
    slices(tmp_path, count=3, numbers=[1, 2, 3])
    dataset_trees.picture(tmp_path / "preview.jpg")
    with pytest.raises(
        SequenceError, match=r"holds 3 DICOM files and 1 pictures \(preview.jpg\), which no rule brings"
    ):
        read_images(tmp_path)


def test_pictures_lie_in_one_folder(tmp_path):
    pictures(tmp_path / "a" / "b")
    assert len(read_images(tmp_path).frames) == 3
    pictures(tmp_path / "a" / "c")
    with pytest.raises(SequenceError, match="pictures lie in 2 folders; give the folder of one sequence"):
        read_images(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for number in (10, 9):
            packed.write(tmp_path / "a" / "b" / f"{number % 2}.png", f"x/{number}.png")
        packed.writestr("__MACOSX/x/._9.png", b"left by some file systems")
        packed.writestr("x/notes.txt", b"no image")
    images = read_images(tmp_path / "a.zip")
    assert images.names == ("9.png", "10.png")
    assert images.notes == ("1 files beside are no images: notes.txt",)


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a", "a.zip"])
def test_devices_and_pipes_are_refused_without_waiting(tmp_path, name):
    """A pipe that nobody writes to would be waited for, a device never ends."""
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / name).symlink_to("/dev/zero")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / name)
    for folder in ("device", "pipe"):
        for given in (tmp_path / folder, tmp_path / folder / name):
            with pytest.raises(FileFormatError, match=f"{name}: no image: is a device or pipe, expected a file"):
                read_frames(given)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_arrays_that_are_devices_are_refused(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(FileFormatError, match="is a device or pipe|not a NumPy file|cannot be read"):
        read_frames(tmp_path / name)


def test_folders_that_are_called_like_files(tmp_path):
    (tmp_path / "a.dcm").mkdir()
    with pytest.raises(SequenceError, match=r"a\.dcm: no image: got 0 pictures or DICOM files"):
        read_frames(tmp_path / "a.dcm")
    assert len(read_frames(pictures(tmp_path / "b.npy"))) == 3
    (tmp_path / "c.png").symlink_to(tmp_path / "absent")
    with pytest.raises(FileFormatError, match=r"c\.png: no image: cannot be read \(No such file"):
        read_frames(tmp_path / "c.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileFormatError, match=r"loop: no image: cannot be read"):
        read_frames(tmp_path / "loop")


def test_links_to_folders_are_refused_and_links_to_files_are_read(tmp_path):
    pictures(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for number in range(3):
        (tmp_path / "b" / f"{number}.png").symlink_to(tmp_path / "a" / f"{number}.png")
    assert len(read_images(tmp_path / "b").frames) == 3
    (tmp_path / "b" / "more").symlink_to(tmp_path / "a")
    with pytest.raises(FileFormatError, match="more: is a link to a folder; give that folder, or remove the link"):
        read_images(tmp_path / "b")


def test_folders_and_lists_have_a_limit(tmp_path, monkeypatch):
    deep = tmp_path / "deep"
    pictures(deep.joinpath(*"abcdefghijklmnopq"))
    with pytest.raises(FileFormatError, match="deep: holds folders more than 16 deep"):
        read_images(deep)
    monkeypatch.setattr(sources, "FILES_MAX", 2)
    with pytest.raises(FileFormatError, match="holds more than 2 files"):
        read_images(pictures(tmp_path / "many"))


def test_names_that_are_long_or_no_text_or_of_several_lines(tmp_path):
    for folder in (b"b\xe4d", "Пац".encode(), b"new\nline", b"x" * 250):
        path = tmp_path / os.fsdecode(folder)
        path.mkdir()
        for number in (2, 10):
            Image.fromarray(flat(number)).save(tmp_path / "x.png")
            os.rename(tmp_path / "x.png", os.fsencode(path) + b"/\xe9" + str(number).encode() + b".png")
        assert [frame.max() for frame in read_images(path).frames] == [2, 10]


def test_archives_that_are_none(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(FileFormatError, match=r"a\.zip: no image: not readable as a zip archive \(BadZipFile\)"):
        read_images(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.png", b"x")
    with pytest.raises(FileFormatError, match=r"a\.zip: 1\.png: is encrypted, or compressed in an unusual way"):
        read_images(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(dataset_trees.picture(tmp_path / "p.png"), "1.png")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x89PNG", b"\x88PNG"))
    with pytest.raises(FileFormatError, match=r"a\.zip: 1\.png: no image: its archive is damaged \(BadZipFile\)"):
        read_images(path)


def test_odd_pictures(tmp_path):
    """Sixteen bits of grey with transparency, several pictures in one file, twelve bits in sixteen."""
    grey = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    opaque = np.stack([grey, np.full_like(grey, 65535)], axis=-1)
    (picture,) = read_images(dataset_trees.png16(tmp_path / "la.png", opaque, colour_type=4)).frames
    assert picture.shape == (1, 8, 8)
    assert np.abs(picture[0] - grey / 257).max() <= 1
    frames = [Image.fromarray(flat(value)) for value in (10, 90, 170)]
    frames[0].save(tmp_path / "clip.png", save_all=True, append_images=frames[1:])
    with pytest.raises(
        FileFormatError, match=r"clip\.png: no image: holds 3 pictures, expected one; save each as a file"
    ):
        read_images(tmp_path / "clip.png")
    colours = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (40, 200)]
    colours[0].save(tmp_path / "stereo.jpg", format="MPO", save_all=True, append_images=colours[1:])
    assert abs(int(read_images(tmp_path / "stereo.jpg").frames[0].mean()) - 40) <= 1
    folder = tmp_path / "twelve"
    folder.mkdir()
    for number, values in enumerate((grey >> 4, grey >> 5, grey >> 2)):  # 12, 11 and 14 bits
        dataset_trees.png16(folder / f"{number}.png", values, colour_type=0)
    with pytest.raises(
        SequenceError, match="use only the lowest quarter of their range: they may hold 10, 12 or 14 bits"
    ):
        read_images(folder)
    dataset_trees.png16(folder / "3.png", grey, colour_type=0)  # one that shows what the range is
    assert len(read_images(folder).frames) == 4


def test_series_in_folders_of_one_study_are_told_apart(tmp_path):
    slices(tmp_path / "a", count=2, numbers=[1, 2])
    slices(tmp_path / "b", count=2, numbers=[1, 2], SeriesInstanceUID=uid("b"))
    with pytest.raises(SequenceError, match="holds 2 series, expected one"):
        read_images(tmp_path)
    assert len(read_images(tmp_path / "b").frames) == 2


def test_a_frame_that_stands_twice_is_told(tmp_path):
    """A copy, or a link to another file: a sequence of it has fewer frames than it seems."""
    pictures(tmp_path / "a")
    (tmp_path / "a" / "3.png").symlink_to(tmp_path / "a" / "0.png")
    assert read_images(tmp_path / "a").notes == ("1 of 4 frames are the same as others, pixel by pixel",)


def test_a_frame_that_is_elsewhere_is_not_passed_over(tmp_path):
    """What stands for a file in a cloud is hidden; a shortcut has another ending."""
    for name in (".3.png.icloud", ".IM3.icloud", "3.dcm.lnk"):
        folder = pictures(tmp_path / name)
        (folder / name).write_bytes(b"bplist00")
        with pytest.raises(FileFormatError, match="no image: of a kind that is not read"):
            read_images(folder)


def test_names_that_no_file_has_are_no_files(tmp_path):
    """They raised OSError, with a traceback from Python."""
    for name in ("a" * 300, "a/" * 3000, "a\0b"):
        with pytest.raises(FileFormatError, match=r"cannot be read \((File name too long|no name of a file)\)"):
            read_images(tmp_path / name)


def test_a_long_list_of_files_is_refused_before_it_is_read(tmp_path):
    """A list of 100 MB became 0.9 GB of objects, and took a minute, before anybody could count them."""
    entry = b"PK\1\2" + bytes(24) + b"\1\0" + bytes(16) + b"a"
    count = archive.DIRECTORY_BYTES_MAX // len(entry) + 1
    size = count * len(entry)
    long = struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, size, 0)  # zip64: more than 65,535 entries
    end = b"PK\6\6" + long + b"PK\6\7" + struct.pack("<LQL", 0, size, 1)
    end += b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    for name, read in (("a.zip", read_images), ("a.npz", read_frames)):
        (tmp_path / name).write_bytes(entry * count + end)
        with pytest.raises(FileFormatError, match=f"its list of files has {size} bytes, expected at most 8388608"):
            read(tmp_path / name)
