"""Frames of other numbers, sizes and colours; and preparations that cannot be."""

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from heclstm.card.preparation import Preparation
from heclstm.data.datasets import Part, fit_part, prepare_part
from heclstm.data.prepare import prepare
from heclstm.data.sequence import ImageSequence
from heclstm.errors import FileFormatError, ModelError, SequenceError

FREE = Preparation("frames", (3, 1, 8, 8), 3, 2, 8, 8, resize="stretch", colour="grey", length="sample")
RNG = np.random.default_rng(0)


def frames(*shapes):
    return [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def test_any_frames_become_the_sequence_of_a_model():
    sequence = prepare(frames((3, 20, 30), (1, 8, 8), (9, 5)), FREE)
    assert sequence.frames.shape == (3, 2, 8, 8)
    assert sequence.real_frames == 3
    assert not sequence.frames[:, 1].any()


def test_fewer_frames_are_padded_with_the_last():
    raw = frames((1, 8, 8), (1, 8, 8))
    sequence = prepare(raw, FREE)
    assert sequence.real_frames == 2
    assert np.array_equal(sequence.frames[1], sequence.frames[2])
    assert np.array_equal(sequence.frames[1, 0], raw[1][0] / np.float32(255))


def test_of_more_frames_evenly_spaced_ones_are_kept():
    raw = [np.full((1, 8, 8), value, np.uint8) for value in range(8)]
    kept = prepare(raw, FREE).frames[:, 0, 0, 0] * 255
    assert np.rint(kept).tolist() == [0, 4, 7]  # 0, 3.5 rounded to even, 7
    with pytest.raises(SequenceError, match="number of frames: got 8, expected at most 3; choose some"):
        prepare(raw, replace(FREE, length="pad"))
    with pytest.raises(SequenceError, match="number of frames: got 8, expected 3"):
        prepare(raw, replace(FREE, length="exact"))
    with pytest.raises(SequenceError, match="got 0 frames, expected 1 or more"):
        prepare([], FREE)


def test_colours():
    red, green, blue = (np.zeros((3, 8, 8), np.uint8) for _ in range(3))
    red[0], green[1], blue[2] = 255, 255, 255
    grey = prepare([red, green, blue], FREE).frames[:, 0, 0, 0]
    assert np.rint(grey * 255).tolist() == [76, 150, 29]  # 0.299, 0.587, 0.114 of 255
    rgb = Preparation("frames", (1, 3, 8, 8), 1, 3, 8, 8, colour="rgb")
    assert np.array_equal(np.ptp(prepare(frames((1, 8, 8)), rgb).frames, axis=1), np.zeros((1, 8, 8)))
    with pytest.raises(SequenceError, match="number of channels: got 2, expected 1 .grey. or 3"):
        prepare(frames((2, 8, 8)), rgb)


def test_floats_and_masks_can_be_resized_too():
    ones = prepare([np.ones((4, 4)), np.ones((3, 5, 5), np.float32)], FREE)
    assert np.allclose(ones.frames[:, 0], 1, atol=3e-7)  # float32 sums of three luma weights
    assert np.array_equal(prepare([np.ones((1, 6, 7), bool)], FREE).frames[:, 0], np.ones((3, 8, 8)))
    with pytest.raises(SequenceError, match="some frames of whole numbers and some of floating point"):
        prepare([np.ones((4, 4)), np.ones((4, 4), bool)], FREE)
    with pytest.raises(SequenceError, match="got 1 values that are NaN or infinite"):
        prepare([np.array([[0.0, np.nan]])], FREE)
    with pytest.raises(SequenceError, match=r"got 192 values outside \[0, 1\]"):
        prepare([np.full((1, 8, 8), 2.0)], replace(FREE, colour="as_is", length="pad", resize="none"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([np.zeros((8,), np.uint8)], r"got a frame of shape \(8,\), expected \(channels, height, width\)"),
        ([np.zeros((1, 0, 8), np.uint8)], r"got a frame of shape \(1, 0, 8\)"),
        ([np.zeros((8, 8), np.int16)], "no image: got values of type int16"),
    ],
)
def test_what_is_no_frame_is_refused(raw, message):
    with pytest.raises(SequenceError, match=f"scan: {message}"):
        prepare(raw, FREE, "scan")


def test_frames_of_different_sizes_need_resizing():
    strict = replace(FREE, resize="none")
    with pytest.raises(SequenceError, match=r"different sizes \(1, 8, 8\), \(1, 9, 8\).*preparation\.resize"):
        prepare(frames((8, 8), (9, 8)), strict)
    with pytest.raises(SequenceError, match="height: got 9, expected 8"):
        prepare(frames((9, 8)), strict)


def test_every_sequence_that_does_not_fit_is_listed():
    part = Part([frames((8, 8)), frames((9, 8)), frames((2, 8, 8))], np.array([0, 1, 0]), names=("a", "b", "c"))
    with pytest.raises(FileFormatError, match=r"sequences: 2 cannot be used.*\n *b: .*\n *c: "):
        fit_part(part, replace(FREE, resize="none"))
    with pytest.raises(ModelError, match="preparation.kind: got 'volume', expected 'frames'"):
        fit_part(part, Preparation("volume", (2, 8, 8), 2, 1, 8, 8, axis=0))


def test_the_mask_of_a_part():
    part = Part([frames((8, 8)), frames(*[(8, 8)] * 5), frames((8, 8), (8, 8))], np.array([0, 1, 0]))
    array, mask = prepare_part(part, FREE)
    assert array.shape == (3, 3, 2, 8, 8)
    assert mask.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
    one = dataclasses.replace(part, images=part.images[1:2], labels=part.labels[1:2])
    assert prepare_part(one, replace(FREE, length="exact", source=(5, 1, 8, 8), frames=5))[1] is None


def test_an_older_model_keeps_its_preparation_file():
    plain = Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8)
    assert not {"resize", "colour", "length"} & plain.to_json().keys()
    for preparation in (plain, FREE):
        assert Preparation.from_json(preparation.to_json()) == preparation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resize": "zoom"}, "Preparation.resize: got 'zoom', expected one of 'none', 'stretch', 'letterbox', 'crop'"),
        ({"length": "any"}, "Preparation.length: got 'any', expected one of 'exact', 'pad', 'sample'"),
        ({"colour": "rgb"}, "Preparation.source: got 1 channels, expected 3 for colour 'rgb'"),
        ({"kind": "volume", "source": (6, 8, 8), "axis": 0, "slices_per_frame": 2}, "are for kind 'frames'"),
    ],
)
def test_impossible_choices_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        replace(FREE, **changes)


@pytest.mark.parametrize("real", [0, 4])
def test_real_frames_are_some_of_all(real):
    with pytest.raises(SequenceError, match=f"a: got {real} real frames, expected 1 to 3"):
        ImageSequence(np.zeros((3, 1, 2, 2), np.float32), "a", real)
