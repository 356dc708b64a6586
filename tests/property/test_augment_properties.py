"""Laws of augmentation, for random settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("monai", reason="training needs the extra heclstm[train]")

from heclstm.model.recipe import Augmentation
from heclstm.model.train.augment import augment


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
    st.floats(0, 0.3),
    st.floats(0, 45),
    st.sampled_from([(), (0,), (0, 2), (0, 1, 2)]),
)
def test_augmented_masks_stay_masks(seed, shift, zoom, degrees, flip_axes):
    rng = np.random.default_rng(seed)
    masks = (rng.random((3, 6, 5, 7)) < 0.4).astype(np.uint8) * np.uint8(255)
    changed = augment(masks, Augmentation((0, 1, 2), flip_axes, shift, zoom, degrees), rng)
    assert changed.shape == masks.shape
    assert changed.dtype == masks.dtype
    assert set(np.unique(changed)) <= {0, 255}


@given(st.integers(0, 2**32 - 1), st.sampled_from([(0,), (1, 2), (0, 1, 2)]))
def test_flips_alone_reverse_axes(seed, flip_axes):
    image = np.random.default_rng(seed).random((3, 4, 5)).astype(np.float32)
    (changed,) = augment(image[None], Augmentation((0, 1, 2), flip_axes), np.random.default_rng(seed))
    reversals = [image]
    for axis in flip_axes:
        reversals += [np.flip(other, axis) for other in reversals]
    assert any(np.array_equal(changed, other) for other in reversals)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_shifts_alone_move_all_frames_together(seed, shift):
    clip = np.random.default_rng(seed).random((2, 3, 6, 6)).astype(np.float32)
    (changed,) = augment(clip[None], Augmentation((2, 3), shift=shift), np.random.default_rng(seed))
    padded = np.pad(clip, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    places = range(2 * shift + 1)
    assert any(np.array_equal(changed, padded[..., y : y + 6, x : x + 6]) for y in places for x in places)


def test_no_axes_means_no_change():
    images = np.ones((1, 2, 2))
    assert augment(images, Augmentation(), np.random.default_rng(0)) is images


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.int16, np.float32]))
def test_monai_adds_its_own_and_keeps_the_kind_of_numbers(seed, kind):
    images = np.random.default_rng(seed).integers(0, 256, (2, 3, 8, 8)).astype(kind)
    noise = {"name": "RandGaussianNoise", "prob": 1.0, "std": 40.0, "sample_std": False}
    settings = Augmentation((1, 2), transforms=(noise,))
    changed = augment(images, settings, np.random.default_rng(seed))
    assert changed.shape == images.shape
    assert changed.dtype == kind
    assert not np.array_equal(changed[0], images[0])
    assert np.array_equal(changed, augment(images, settings, np.random.default_rng(seed)))  # the seed decides
