"""Pictures of every kind that cameras and scanners write, and other sizes."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import dataset_trees
from heclstm.data.images import read_images
from heclstm.data.pictures import read_picture, resized
from heclstm.data.reading import read_frames
from heclstm.errors import FileFormatError, SequenceError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def saved(path, image):
    image.save(path)
    return path


def test_grey_and_colour(tmp_path):
    assert np.array_equal(read_picture(saved(tmp_path / "a.png", Image.fromarray(GREY))), GREY[None])
    colour = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)
    read = read_picture(saved(tmp_path / "b.png", Image.fromarray(colour)))
    assert np.array_equal(read, colour.transpose(2, 0, 1))
    read = read_picture(saved(tmp_path / "c.png", Image.fromarray(colour).convert("P", palette=Image.Palette.ADAPTIVE)))
    assert read.shape == (3, 3, 4)
    assert np.array_equal(
        read_picture(saved(tmp_path / "d.png", Image.fromarray(GREY > 100))), 255 * (GREY > 100)[None]
    )


def test_sixteen_bits_are_read_over_their_whole_range(tmp_path):
    """Pillow's own conversion to 8 bits clips at 255, which makes almost all of such a picture white."""
    deep = np.array([[0, 257, 128 * 257], [65535, 300, 40000]], np.uint16)
    read = read_picture(saved(tmp_path / "a.png", Image.fromarray(deep)))
    assert np.array_equal(read, np.array([[[0, 1, 128], [255, 1, 156]]]))


@pytest.mark.parametrize("grey", [False, True])
def test_what_is_transparent_becomes_black(tmp_path, grey):
    shape = (2, 2, 2) if grey else (2, 2, 4)
    pixels = np.full(shape, 200, np.uint8)
    pixels[..., -1] = [[255, 0], [255, 255]]
    read = read_picture(saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert np.array_equal(read, np.broadcast_to([[200, 0], [200, 200]], (1 if grey else 3, 2, 2)))


def test_a_transparent_grey_of_sixteen_bits_becomes_black(tmp_path):
    """Written by hand: Pillow writes no such file."""
    rows = np.array([[40000, 41000], [41000, 40000]], ">u2")
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 2, 2, 16, 0, 0, 0, 0),
        b"tRNS": struct.pack(">H", 40000),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)),
        b"IEND": b"",
    }
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks.items():
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    (tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(read_picture(tmp_path / "a.png"), [[[0, 160], [160, 0]]])


def test_photographs_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° to see it upright
    picture = Image.new("RGB", (16, 8))
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").shape == (3, 16, 8)


@pytest.mark.parametrize("keep", [0, 8, 40, 100])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_damaged_pictures_are_refused(tmp_path, keep, ending):
    path = dataset_trees.picture(tmp_path / f"a.{ending}", size=(40, 40))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileFormatError, match=rf"a\.{ending}: no image: not readable as PNG or JPEG"):
        read_picture(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = dataset_trees.picture(tmp_path / "a.png", size=(40, 40))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="no image"):
        read_picture(path)


def test_other_kinds_with_the_ending_of_a_picture_are_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    with pytest.raises(FileFormatError, match="not readable as PNG or JPEG"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(FileFormatError, match=r"b\.png: no image: cannot be read \(No such file"):
        read_picture(tmp_path / "b.png")


def test_shrinking_averages():
    checks = np.indices((8, 8)).sum(axis=0) % 2 * np.uint8(200)
    shrunk = resized(checks[None].astype(np.uint8), 2, 2, "stretch").astype(int)
    assert np.abs(shrunk - 100).max() <= 1  # Pillow rounds once for each axis
    flat = np.full((3, 17, 29), 77, np.uint8)
    for how in ("stretch", "crop"):
        assert np.array_equal(resized(flat, 8, 8, how), np.full((3, 8, 8), 77))
    assert resized(flat, 17, 29, "letterbox") is flat


def test_letterbox_keeps_everything_and_crop_keeps_the_middle():
    wide = np.zeros((1, 8, 24), np.uint8)
    wide[:, :, 8:16] = 255  # the middle third
    boxed = resized(wide, 8, 8, "letterbox")[0]
    rows = np.flatnonzero(boxed.any(axis=1))
    assert rows.min() >= 2
    assert rows.max() <= 5  # 8·8/24 ≈ 3 rows of picture, black bars above and below
    assert resized(wide, 8, 8, "crop").min() == 255
    assert resized(np.full((1, 4, 4), 0.25, np.float32), 2, 2, "stretch").dtype == np.float32


def test_frames_stand_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1):
        dataset_trees.picture(tmp_path / f"frame-{number}.png", number, size=(4, 4 + number))
    (tmp_path / "._frame-2.png").write_bytes(b"left by some file systems")
    (tmp_path / "notes.txt").write_text("not a picture")
    images = read_images(tmp_path)
    assert images.names == ("frame-1.png", "frame-9.png", "frame-10.png")
    assert images.order == "by names"
    assert images.notes == ("1 files beside are no images: notes.txt", "frames are of 3 sizes")
    assert [frame.shape for frame in read_frames(tmp_path)] == [(3, 4, 5), (3, 4, 13), (3, 4, 14)]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SequenceError, match="no image: got 0 pictures or DICOM files"):
        read_frames(empty)


def test_an_orientation_that_cannot_be_read_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "a camera"
    content = exif.tobytes()
    for cut, upright in ((len(content), True), (20, False), (30, False)):
        Image.new("RGB", (16, 8)).save(tmp_path / "a.jpg", exif=content[:cut])
        if upright:
            assert read_picture(tmp_path / "a.jpg").shape == (3, 16, 8)
        else:
            with pytest.raises(
                FileFormatError, match=r"a\.jpg: no image: its EXIF data are damaged, and may have told"
            ):
                read_picture(tmp_path / "a.jpg")


def test_the_checksum_of_every_piece_of_a_png_counts(tmp_path):
    """Pillow looks at none of those of the pixels: a file whose end was zeros was read, with other greys. What is
    behind a picture does no harm.
    """
    path = dataset_trees.picture(tmp_path / "a.png", size=(64, 64))
    whole, pixels = path.read_bytes(), read_picture(path)
    for damaged in (whole[:-12], whole[:-1], whole[:-300] + bytes(300), whole[:-17] + bytes(1) + whole[-16:]):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="altered or cut off on its way"):
            read_picture(path)
    path.write_bytes(whole + bytes(9))
    assert (read_picture(path) == pixels).all()
