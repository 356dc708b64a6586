"""What holds for every layout: packing loses nothing, adds nothing, and repeats."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heclstm.storage.typed import plain, typed
from random_layouts import frame_counts, layouts, result_layouts, slot_counts


@st.composite
def any_layout(draw):
    slots = draw(slot_counts)
    return draw(st.one_of(layouts(slots, draw(frame_counts)), result_layouts(slots)))


def tensor_of(layout):
    """(2, T, F): two sequences, all elements different and none zero."""
    shape = (2, layout.frames, layout.features)
    return 1.0 + np.arange(np.prod(shape)).reshape(shape)


@given(any_layout())
def test_unpack_is_the_inverse_of_pack(layout):
    tensor = tensor_of(layout)
    assert np.array_equal(layout.unpack(layout.pack(tensor)), tensor)


@given(any_layout())
def test_unmapped_slots_are_zero_and_used_ones_are_not(layout):
    packed = layout.pack(tensor_of(layout)).reshape(2, -1)
    copies = packed.shape[-1] // layout.period
    assert np.array_equal(packed != 0, np.tile(layout.used(), (2, copies)))
    assert layout.used().sum() == layout.frames * layout.features  # no two elements share a slot


@given(any_layout())
def test_pack_repeats_with_the_period(layout):
    packed = layout.pack(tensor_of(layout))
    assert packed.shape == (2, layout.ciphertexts, layout.slots)
    flat = packed.reshape(2, -1, layout.period)
    assert np.array_equal(flat, np.broadcast_to(flat[:, :1], flat.shape))
    assert layout.ciphertexts * layout.slots == max(layout.period, layout.slots)


@given(any_layout())
def test_frames_are_innermost(layout):
    """slot(feature, frame) = position(feature) · T' + frame: a layer on every frame does not depend on T."""
    first = layout.slot_of[0]
    assert np.array_equal(layout.slot_of, first[None, :] + np.arange(layout.frames)[:, None])
    assert (first % layout.frame_slots == 0).all()


@given(any_layout())
def test_json_describes_a_layout_wholly(layout):
    assert layout.slot_of.size  # computed and kept, which is no part of it
    assert typed(json.loads(json.dumps(plain(layout))), type(layout), "layout") == layout
