"""Laws of preparation, for random shapes and settings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heclstm.card.preparation import Preparation
from heclstm.data.prepare import prepare


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
