"""Arrays as hospitals hand them in: what is read in one way and meant in another is refused."""

from hashlib import sha256
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

import dicom_kit
from heclstm.card.preparation import Preparation
from heclstm.data.handed_in import read_handed_in
from heclstm.errors import SequenceError
from heclstm.usecases.images import read_handed_in as read_by_verb
from tiny_program import PURPOSE

EXACT = Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8)
FLEXIBLE = Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8, resize="crop", colour="grey", length="sample")
MASK = np.random.default_rng(0).random((3, 8, 8)) > 0.5


def handed_in(folder, array, preparation=FLEXIBLE):
    np.save(folder / "a.npy", array)
    return read_handed_in(folder / "a.npy", preparation)


@pytest.mark.parametrize("preparation", [EXACT, FLEXIBLE])
def test_a_mask_of_zero_and_one_is_not_taken_for_black(tmp_path, preparation):
    with pytest.raises(SequenceError, match="got uint8 of 0 and 1 alone, which is black, where white is 255"):
        handed_in(tmp_path, MASK.astype(np.uint8), preparation)
    for right in (MASK, MASK.astype(np.uint8) * np.uint8(255), MASK.astype(np.float32)):
        assert np.array_equal(handed_in(tmp_path, right, preparation).sequence.frames[:, 0], MASK)
    assert not handed_in(tmp_path, np.zeros_like(right), preparation).sequence.frames.any()  # nothing is a mask


def test_frames_that_stand_behind_are_not_taken_for_pixels(tmp_path):
    """64 frames of 64×3 could be resized, and would mean nothing."""
    images = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with pytest.raises(SequenceError, match="got 64 frames of 64×3 pixels; if that are 3 frames of 64×64"):
        handed_in(tmp_path, images)
    assert len(handed_in(tmp_path, np.moveaxis(images, -1, 0)).sequence) == 3
    with pytest.raises(SequenceError, match="if that are 40 frames of 64×64"):
        handed_in(tmp_path, images[:, :, :1].repeat(40, axis=2))
    with pytest.raises(SequenceError, match="if that are 4 frames of 8×8"):
        handed_in(tmp_path, images[:8, :8, :1].repeat(4, axis=2))
    assert len(handed_in(tmp_path, images[:48, :, :1].repeat(40, axis=2)).sequence) == 3  # wide, but not absurd


def test_frames_of_an_array_that_are_left_out_are_told(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8), np.uint8)
    assert handed_in(tmp_path, images).remarks == ["3 of 7 frames are used, evenly spaced: 1, 4, 7"]
    assert handed_in(tmp_path, images[:2]).remarks == []


def test_several_patients_are_not_taken_for_frames_in_colour(tmp_path):
    """Two patients of three grey frames look like two frames of red, green and blue."""
    images = np.random.default_rng(0).random((2, 3, 8, 8))
    with pytest.raises(SequenceError, match="may hold 2 patients of 3 grey frames, or 2 frames in colour; .*--index"):
        handed_in(tmp_path, images)
    found = read_handed_in(tmp_path / "a.npy", FLEXIBLE, row=1)
    assert np.allclose(found.sequence.frames[:, 0], images[1])
    np.savez(tmp_path / "b.npz", images=images, labels=np.array([0, 1]))
    with pytest.raises(SequenceError, match="holds 2 images with a label each; say which patient is meant"):
        read_handed_in(tmp_path / "b.npz", FLEXIBLE)
    four = Preparation("frames", (4, 1, 8, 8), 4, 1, 8, 8, resize="crop", colour="grey", length="sample")
    with pytest.raises(SequenceError, match="may hold 2 patients of 3 grey frames"):
        handed_in(tmp_path, images, four)  # it takes three frames, too
    two = Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8, resize="crop", colour="grey", length="exact")
    assert handed_in(tmp_path, images, two).sequence.real_frames == 2  # which has no three frames to be confused with


def test_a_picture_in_colour_is_not_taken_for_grey_frames(tmp_path):
    """(3, height, width): one picture in red, green and blue, or three grey frames, of which each is made a colour."""
    colour = Preparation("frames", (4, 3, 8, 8), 4, 3, 8, 8, resize="crop", colour="rgb", length="sample")
    picture = np.random.default_rng(0).random((3, 8, 8))
    with pytest.raises(SequenceError, match=r"may be one picture in colour, or 3 grey frames; hand in \(1, 3, height"):
        handed_in(tmp_path, picture, colour)
    assert handed_in(tmp_path, picture[None], colour).sequence.real_frames == 1
    assert handed_in(tmp_path, picture[:, None], colour).sequence.real_frames == 3
    assert handed_in(tmp_path, picture).sequence.real_frames == 3  # of a model of grey frames


def test_frames_that_are_enlarged_are_told(tmp_path):
    """Thumbnails, for instance."""
    small = np.random.default_rng(0).integers(0, 256, (3, 9, 7), np.uint8)
    assert handed_in(tmp_path, small).remarks == ["3 of 3 frames are smaller than 8×8 pixels, and are enlarged"]
    for number, frame in enumerate((small[0], small[1].repeat(2, axis=1))):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    found = read_handed_in([tmp_path / "0.png", tmp_path / "1.png"], FLEXIBLE)
    assert "1 of 2 frames are smaller than 8×8 pixels, and are enlarged" in found.remarks
    boxed = structs.replace(FLEXIBLE, resize="letterbox")  # a side that is short is filled up, and nothing enlarged
    for size, told in (((20, 5), False), ((5, 5), True)):
        Image.fromarray(np.resize(small, size)).save(tmp_path / "0.png")
        remarks = read_handed_in([tmp_path / "0.png"], boxed).remarks
        assert any("enlarged" in remark for remark in remarks) is told


def test_what_is_to_be_said_of_arrays_reaches_the_terminal(tmp_path):
    """Nothing was said of arrays, since they have no files to be listed."""
    heard = []
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (7, 8, 8), np.uint8))
    purpose = structs.replace(PURPOSE, preparation=FLEXIBLE)
    read_by_verb([tmp_path / "a.npy"], purpose, events=SimpleNamespace(note=heard.append))
    assert heard == ["3 of 7 frames are used, evenly spaced: 1, 4, 7"]


def test_arrays_that_are_dark_all_over_are_told(tmp_path):
    told = "no grey is above 15 of 255: its range may not be what was meant"
    greys = np.random.default_rng(0).integers(0, 15, (3, 8, 8)).astype(np.uint8)
    greys[0, 0, 0] = 15
    assert handed_in(tmp_path, greys).remarks == [told]
    greys[0, 0, 0] = 32
    assert handed_in(tmp_path, greys).remarks == []


@pytest.mark.parametrize("kind", [np.uint8, np.float32, bool])
def test_arrays_without_an_image_and_frames_that_stand_twice_are_told(tmp_path, kind):
    frames = (np.random.default_rng(0).integers(0, 2, (3, 8, 8)) * 255).astype(kind)
    frames = frames / np.float32(255) if kind is np.float32 else frames
    assert handed_in(tmp_path, frames).remarks == []
    frames[2] = frames[0]
    assert handed_in(tmp_path, frames).remarks == ["1 of 3 frames are the same as others, pixel by pixel"]
    assert handed_in(tmp_path, np.ones_like(frames) * frames.max()).remarks == [
        "all values are the same: there is no image in it"
    ]


def test_files_are_known_again_by_their_sha_256(tmp_path):
    """In the order of the frames, each file once: as `sha256sum` tells them."""
    for number, grey in ((10, 30), (9, 20), (8, 10)):
        Image.fromarray(np.full((8, 8), grey, np.uint8)).save(tmp_path / f"{number}s.png")
    found = read_handed_in(tmp_path, FLEXIBLE)
    assert found.names == ("8s.png", "9s.png", "10s.png")
    assert found.files == tuple(sha256((tmp_path / name).read_bytes()).hexdigest() for name in found.names)
    assert handed_in(tmp_path, np.full((7, 8, 8), 9, np.uint8)).files == (
        sha256((tmp_path / "a.npy").read_bytes()).hexdigest(),
    )
    with ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in found.names:
            archive.write(tmp_path / name, name)
    assert read_handed_in(tmp_path / "z.zip", FLEXIBLE).files == found.files
    many = dicom_kit.save(tmp_path / "d" / "many", np.zeros((3, 8, 8), np.uint8))
    assert read_handed_in(many, FLEXIBLE).files == (sha256(many.read_bytes()).hexdigest(),)


@pytest.mark.parametrize("preparation", [EXACT, FLEXIBLE])
def test_a_number_is_no_image(tmp_path, preparation):
    with pytest.raises(SequenceError, match=r"a\.npy"):
        handed_in(tmp_path, np.uint8(7), preparation)
