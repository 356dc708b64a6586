"""Other orders of frames: what is real changes places, and padding stays behind."""

import numpy as np
import pytest
from experiments.orders import ORDERS, reordered

from heclstm.data.datasets import Part


@pytest.mark.parametrize("order", ORDERS)
def test_only_real_frames_change_places(order):
    images = np.arange(12.0).reshape(3, 4, 1, 1, 1)
    mask = np.array([[True] * 4, [True, True, True, False], [True, False, False, False]])
    changed = reordered(Part(images, np.array([0, 1, 0]), mask=mask), order).images[..., 0, 0, 0]
    for before, after, real in zip(images[..., 0, 0, 0], changed, mask, strict=True):
        assert sorted(after[real]) == list(before[real])
        assert (after[~real] == before[~real]).all()
    if order == "reversed":
        assert changed.tolist() == [[3, 2, 1, 0], [6, 5, 4, 7], [8, 9, 10, 11]]
    again = reordered(Part(images, np.array([0, 1, 0]), mask=mask), order).images
    assert np.array_equal(again[..., 0, 0, 0], changed)


def test_without_a_mask_all_frames_are_real():
    images = np.arange(8.0).reshape(2, 4, 1, 1, 1)
    changed = reordered(Part(images, np.array([0, 1])), "reversed").images
    assert np.array_equal(changed, images[:, ::-1])
