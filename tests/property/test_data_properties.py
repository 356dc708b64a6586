"""Laws of preparation and augmentation, for random shapes and settings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heclstm.data.augment import Augmentation, augment
from heclstm.data.prepare import Preparation, prepare


@st.composite
def volumes(draw):
    """A random volume with a preparation that fits it."""
    axis, per_frame, count = draw(st.integers(0, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    shape = [height, width]
    shape.insert(axis, per_frame * count)
    preparation = Preparation(
        "volume",
        tuple(shape),
        count,
        per_frame + draw(st.integers(0, 2)),
        height + draw(st.integers(0, 5)),
        width + draw(st.integers(0, 5)),
        axis,
        per_frame,
    )
    raw = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 256, shape, dtype=np.uint8)
    return raw, preparation


@given(volumes())
def test_preparation_only_moves_and_pads(case):
    """Every voxel arrives exactly once; everything else is zero."""
    raw, preparation = case
    frames = prepare(raw, preparation).frames
    assert frames.shape == (preparation.frames, preparation.channels, preparation.height, preparation.width)
    padded = np.zeros(frames.size, np.uint8)
    padded[: raw.size] = raw.ravel()
    assert np.array_equal(np.sort(np.rint(frames.ravel() * 255).astype(np.uint8)), np.sort(padded))


@given(volumes())
def test_preparation_can_be_undone(case):
    raw, preparation = case
    count, channels, height, width = preparation.cut
    top, left = (preparation.height - height) // 2, (preparation.width - width) // 2
    inner = prepare(raw, preparation).frames[:, :channels, top : top + height, left : left + width]
    slices = np.rint(inner * 255).astype(np.uint8).reshape(count * channels, height, width)
    assert np.array_equal(np.moveaxis(slices, 0, preparation.axis), raw)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
    st.floats(0, 0.3),
    st.floats(0, 45),
    st.sampled_from([(), (0,), (0, 2), (0, 1, 2)]),
)
def test_augmented_masks_stay_masks(seed, shift, zoom, degrees, flip_axes):
    rng = np.random.default_rng(seed)
    mask = (rng.random((6, 5, 7)) < 0.4).astype(np.uint8) * np.uint8(255)
    changed = augment(mask, Augmentation((0, 1, 2), flip_axes, shift, zoom, degrees), rng)
    assert changed.shape == mask.shape
    assert changed.dtype == mask.dtype
    assert set(np.unique(changed)) <= {0, 255}


@given(st.integers(0, 2**32 - 1), st.sampled_from([(0,), (1, 2), (0, 1, 2)]))
def test_flips_alone_reverse_axes(seed, flip_axes):
    image = np.random.default_rng(seed).random((3, 4, 5))
    changed = augment(image, Augmentation((0, 1, 2), flip_axes), np.random.default_rng(seed))
    reversals = [image]
    for axis in flip_axes:
        reversals += [np.flip(other, axis) for other in reversals]
    assert any(np.array_equal(changed, other) for other in reversals)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_shifts_alone_move_all_frames_together(seed, shift):
    clip = np.random.default_rng(seed).random((2, 3, 6, 6)).astype(np.float32)
    changed = augment(clip, Augmentation((2, 3), shift=shift), np.random.default_rng(seed))
    padded = np.pad(clip, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    places = range(2 * shift + 1)
    assert any(np.array_equal(changed, padded[..., y : y + 6, x : x + 6]) for y in places for x in places)


def test_no_axes_means_no_change():
    image = np.ones((2, 2))
    assert augment(image, Augmentation(), np.random.default_rng(0)) is image
