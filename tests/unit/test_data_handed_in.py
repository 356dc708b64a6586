"""Arrays as hospitals hand them in: what is read in one way and meant in another is refused."""

import numpy as np
import pytest

from heclstm.card.preparation import Preparation
from heclstm.data.handed_in import read_handed_in
from heclstm.errors import SequenceError

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
    assert len(handed_in(tmp_path, images[:, :, :1].repeat(40, axis=2)).sequence) == 3  # wide, but not absurd


def test_frames_of_an_array_that_are_left_out_are_told(tmp_path):
    images = np.full((7, 8, 8), 9, np.uint8)
    assert handed_in(tmp_path, images).remarks == ["3 of 7 frames are used, evenly spaced: 1, 4, 7"]
    assert handed_in(tmp_path, images[:2]).remarks == []


@pytest.mark.parametrize("preparation", [EXACT, FLEXIBLE])
def test_a_number_is_no_image(tmp_path, preparation):
    with pytest.raises(SequenceError, match=r"a\.npy"):
        handed_in(tmp_path, np.uint8(7), preparation)
