"""Layouts by pictures that can be checked by hand, and what is refused."""

import numpy as np
import pytest

from heclstm.circuit.layout import (
    ImageLayout,
    Layout,
    ResultLayout,
    VectorLayout,
    power_of_two,
)
from heclstm.errors import FileFormatError, LayoutError
from heclstm.storage.typed import typed


def numbered(layout):
    """(T, F): 10 · frame + feature + 1."""
    return 1.0 + 10 * np.arange(layout.frames)[:, None] + np.arange(layout.features)


def test_a_vector_of_two_features_and_three_frames():
    #                    feature 0        feature 1
    # frame              0   1   2   –    0   1   2   –    and the same once more
    expected = np.array([1, 11, 21, 0, 2, 12, 22, 0] * 2)
    layout = VectorLayout(16, frames=3, length=2)
    assert np.array_equal(layout.pack(numbered(layout)), [expected])
    assert (layout.period, layout.ciphertexts) == (8, 1)


def test_channels_fill_the_gaps_of_a_stride():
    # Four channels of 2 × 2, gaps of 2: channel (c_y, c_x) stands c_y down and c_x right of each position.
    layout = ImageLayout(16, 1, channels=4, height=2, width=2, rows=4, columns=4, gap_y=2, gap_x=2)
    a, b, c, d = ([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16])
    expected = [
        [a[0], b[0], a[1], b[1]],
        [c[0], d[0], c[1], d[1]],
        [a[2], b[2], a[3], b[3]],
        [c[2], d[2], c[3], d[3]],
    ]
    assert np.array_equal(layout.pack(numbered(layout)).reshape(4, 4), expected)


def test_an_image_that_does_not_fill_its_room():
    # One channel of 2 × 3 in 2 rows of 4 columns, two frames.
    layout = ImageLayout(16, 2, channels=1, height=2, width=3, rows=2, columns=4)
    expected = [[1, 11, 2, 12, 3, 13, 0, 0], [4, 14, 5, 15, 6, 16, 0, 0]]
    assert np.array_equal(layout.pack(numbered(layout)).reshape(2, 8), expected)


def test_a_tensor_larger_than_a_ciphertext_takes_several():
    layout = VectorLayout(8, frames=2, length=7)
    packed = layout.pack(numbered(layout))
    assert packed.shape == (2, 8)
    assert np.array_equal(packed[0], [1, 11, 2, 12, 3, 13, 4, 14])
    assert np.array_equal(packed[1], [5, 15, 6, 16, 7, 17, 0, 0])


def test_a_result_is_never_repeated():
    layout = ResultLayout(32, 1, classes=2, steps=3)  # 2 scores, 3 · 2 contributions
    packed = layout.pack(numbered(layout))
    assert np.array_equal(packed, [[*range(1, 9), *[0] * 24]])
    assert (layout.period, layout.ciphertexts) == (32, 1)


@pytest.mark.parametrize(("number", "power"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1025, 2048)])
def test_the_next_power_of_two(number, power):
    assert power_of_two(number) == power


IMAGE = {"slots": 64, "frames": 2, "channels": 3, "height": 4, "width": 4, "rows": 4, "columns": 4}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VectorLayout(48, 1, 4), "got 48 slots and 1 frames, expected a power of two and at least 1"),
        (lambda: VectorLayout(0, 1, 4), "got 0 slots"),
        (lambda: VectorLayout(16, 0, 4), "16 slots and 0 frames"),
        (lambda: VectorLayout(16, 1, 0), "vector layout: got 0 features, expected at least 1"),
        (lambda: ImageLayout(**{**IMAGE, "rows": 5}), "rows is 5, expected a power of two of at least 4 · 1"),
        (lambda: ImageLayout(**IMAGE, gap_x=2), "columns is 4, expected a power of two of at least 4 · 2"),
        (lambda: ImageLayout(**{**IMAGE, "channels": 0}), "every size must be at least 1"),
        (lambda: ImageLayout(**IMAGE, gap_y=0), "every size must be at least 1"),
        (lambda: ResultLayout(16, 1, 4, 4), "4 classes and 4 frames need 20 slots, but a ciphertext has 16"),
        (lambda: ResultLayout(16, 2, 1, 1), "result layout"),
        (lambda: ResultLayout(16, 1, 0, 4), "result layout"),
        (lambda: ResultLayout(16, 1, 4, -3), "result layout"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(make, message):
    with pytest.raises(LayoutError, match=message):
        make()


def test_tensors_and_slots_of_another_shape_are_refused():
    layout = VectorLayout(16, 2, 3)
    with pytest.raises(LayoutError, match=r"pack: got a tensor of shape \(3, 2\), expected \(…, 2, 3\)"):
        layout.pack(np.zeros((3, 2)))
    with pytest.raises(LayoutError, match=r"unpack: got slots of shape \(2, 16\), expected \(…, 1, 16\)"):
        layout.unpack(np.zeros((2, 16)))


def test_the_base_of_all_layouts_is_no_layout():
    base = Layout(16, 1)
    for name in ("features", "cells", "positions"):
        with pytest.raises(TypeError, match="abstract"):
            getattr(base, name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 2.0}, "Expected `int`, got `float`"),
        ({"frames": True}, "Expected `int`, got `bool`"),
        ({"slots": "16"}, "Expected `int`, got `str`"),
        ({"slots": None}, "Expected `int`, got `null`"),
    ],
)
def test_json_that_describes_no_layout_is_refused(change, message):
    data = {"slots": 16, "frames": 1, "length": 2}
    assert typed(data, VectorLayout, "layout") == VectorLayout(16, 1, 2)
    with pytest.raises(FileFormatError, match=message):
        typed({**data, **change}, VectorLayout, "layout")
    for name in data:
        with pytest.raises(FileFormatError, match=f"missing required field `{name}`"):
            typed({other: value for other, value in data.items() if other != name}, VectorLayout, "layout")


def test_a_layout_of_absurd_size_is_refused_before_memory_is_asked_for():
    """A server describes the layout that a client packs into: 2^41 cells must not become an allocation."""
    data = {**IMAGE, "rows": 1 << 40, "columns": 1 << 20, "gap_y": 1, "gap_x": 1}
    with pytest.raises(LayoutError, match="slots, expected at most"):
        typed(data, ImageLayout, "layout")
