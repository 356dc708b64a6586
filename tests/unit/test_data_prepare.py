"""Preparation: where each voxel goes, and what is no image for this model."""

import json

import numpy as np
import pytest

from heclstm.card.preparation import Preparation
from heclstm.data.prepare import prepare
from heclstm.data.sequence import ImageSequence
from heclstm.errors import ModelError, SequenceError

VOLUME = Preparation("volume", (28, 28, 28), 4, 8, 32, 32, axis=2, slices_per_frame=7)
FRAMES = Preparation("frames", (3, 1, 10, 12), 3, 2, 16, 16)


def test_a_volume_becomes_frames_of_slices():
    raw = np.random.default_rng(0).integers(0, 256, (28, 28, 28), dtype=np.uint8)
    frames = prepare(raw, VOLUME).frames
    assert frames.shape == (4, 8, 32, 32)
    assert frames.dtype == np.float32
    # frame 2, channel 3 is slice 2·7 + 3 = 17 along axis 2, two pixels in from each side
    assert np.array_equal(frames[2, 3, 2:30, 2:30], (raw[:, :, 17] / 255).astype(np.float32))
    assert not frames[:, 7].any()
    assert not frames[:, :, :2].any()
    assert not frames[..., 30:].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_can_be_cut(axis):
    raw = np.random.default_rng(1).random((4, 6, 8))
    shape = [size for index, size in enumerate(raw.shape) if index != axis]
    preparation = Preparation("volume", raw.shape, raw.shape[axis] // 2, 2, *shape, axis=axis, slices_per_frame=2)
    frames = prepare(raw, preparation).frames
    assert np.array_equal(frames[1, 1], raw.take(3, axis).astype(np.float32))


def test_plain_frames_are_padded_in_the_middle():
    raw = np.random.default_rng(2).random((3, 1, 10, 12)).astype(np.float32)
    frames = prepare(raw, FRAMES).frames
    assert frames.shape == (3, 2, 16, 16)
    assert np.array_equal(frames[:, :1, 3:13, 2:14], raw)
    assert frames.sum() == pytest.approx(raw.sum(), rel=1e-5)
    assert np.array_equal(prepare(raw[:, 0], FRAMES).frames, frames)  # grey frames need no channel axis


def test_the_same_image_in_three_types():
    bits = np.random.default_rng(3).random((28, 28, 28)) < 0.5
    frames = prepare(bits, VOLUME).frames
    assert np.array_equal(frames, prepare(bits.astype(np.uint8) * np.uint8(255), VOLUME).frames)
    assert np.array_equal(frames, prepare(bits.astype(np.float64), VOLUME).frames)


def test_json_brings_a_preparation_back():
    for preparation in (VOLUME, FRAMES):
        assert Preparation.from_json(json.loads(json.dumps(preparation.to_json()))) == preparation


def _spoiled(value):
    raw = np.zeros((28, 28, 28))
    raw[1, 2, 3] = value
    return raw


@pytest.mark.parametrize(
    ("raw", "preparation", "message"),
    [
        (
            np.zeros((28, 28, 21)),
            VOLUME,
            "scan: number of slices: got 21, expected 28; this model was trained on",
        ),
        (np.zeros((28, 27, 28)), VOLUME, "scan: size along axis 1: got 27, expected 28"),
        (np.zeros((28, 28)), VOLUME, r"scan: got 2 axes \(28, 28\), expected 3 axes .*; hand in one volume"),
        (np.zeros((2, 1, 10, 12)), FRAMES, "scan: number of frames: got 2, expected 3"),
        (np.zeros((3, 3, 10, 12)), FRAMES, "scan: number of channels: got 3, expected 1"),
        (np.zeros((3, 1, 10, 10)), FRAMES, "scan: width: got 10, expected 12"),
        (np.zeros((3, 12)), FRAMES, r"hand in \(frames, channels, height, width\)"),
        (_spoiled(np.nan), VOLUME, r"got 1 values that are NaN or infinite, the first at \(1, 2, 3\)"),
        (_spoiled(-np.inf), VOLUME, r"got 1 values that are NaN or infinite, the first at \(1, 2, 3\)"),
        (_spoiled(200.0), VOLUME, r"got 1 values outside \[0, 1\], the first at \(1, 2, 3\); hand in uint8"),
        (_spoiled(-0.25), VOLUME, r"got 1 values outside \[0, 1\]"),
        (np.zeros((28, 28, 28), np.int16), VOLUME, "no image: got values of type int16, expected bool, uint8"),
        (np.full((28, 28, 28), "a"), VOLUME, "no image: got values of type <U1"),
        (np.full((28, 28, 28), None), VOLUME, "no image: got values of type object"),
        ("scan.png", VOLUME, "no image: got values of type <U8"),
        (None, VOLUME, "no image: got values of type object"),
        ([[1.0], [1.0, 2.0]], VOLUME, "no image: frames of different sizes"),
        (np.zeros((28, 28, 28), complex), VOLUME, "no image: got values of type complex128"),
    ],
)
def test_what_is_no_sequence_for_this_model_is_refused(raw, preparation, message):
    with pytest.raises(SequenceError, match=message):
        prepare(raw, preparation, "scan")


def test_errors_never_hold_a_pixel():
    with pytest.raises(SequenceError) as caught:
        prepare(_spoiled(173.25), VOLUME)
    assert "173" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clip", (3, 1, 8, 8), 3, 1, 8, 8), "Preparation.kind: got 'clip'"),
        (("frames", (3, 8, 8), 3, 1, 8, 8), "Preparation.source: got 3 axes, expected 4"),
        (("frames", (3, 1, 8, 8), 4, 1, 8, 8), r"Preparation.frames: got 4, but source \(3, 1, 8, 8\) makes 3"),
        (("frames", (3, 1, 8, 9), 3, 1, 8, 8), "Preparation.width: got 8, expected at least the 9"),
        (
            ("volume", (8, 8, 8), 2, 3, 8, 8, 2, 3),
            "slices_per_frame: got 3, expected a divisor of the 8 slices",
        ),
        (("volume", (8, 8, 8), 2, 4, 8, 8, 3, 4), "Preparation.axis: got 3, expected 0, 1 or 2"),
        (("volume", (8, 8, 8), 2, 4, 8, 8, True, 4), "Preparation.axis: got True, expected 0, 1 or 2"),
        (("volume", (8, 8, 8), True, 8, 8, 8, 2, 8), r"Preparation.frames: got \(True,\), expected whole numbers"),
        (("frames", [3, 1, 8, 8], 3, 1, 8, 8), r"Preparation.source: got \[3, 1, 8, 8\], expected whole numbers"),
        (("frames", (1, 1, 8, 8), 1, 1, 1 << 14, 1 << 13), "makes 134217728 numbers, expected at most 67108864"),
        (
            ("volume", (8, 8, 0), 2, 4, 8, 8),
            r"Preparation.source: got \(8, 8, 0\), expected whole numbers above 0",
        ),
    ],
)
def test_impossible_preparations_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        Preparation(*arguments)


def test_wrong_json_is_refused():
    with pytest.raises(ModelError, match="unknown field `crop`"):
        Preparation.from_json({**VOLUME.to_json(), "crop": 1})
    with pytest.raises(ModelError, match="missing required field `source`"):
        Preparation.from_json({"kind": "volume"})
    with pytest.raises(ModelError, match="Expected `object`, got `array`"):
        Preparation.from_json([])


def test_a_sequence_is_checked_and_frozen():
    frames = np.zeros((2, 1, 4, 4), np.float32)
    sequence = ImageSequence(frames, "a")
    frames[0] = 1.0
    assert len(sequence) == 2
    assert not sequence.frames.any()
    with pytest.raises(ValueError, match="read-only"):
        sequence.frames[0] = 1.0
    assert repr(sequence) == "ImageSequence(2 frames of 1×4×4)"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 4, 4), np.float32), r"a: got an array of shape \(1, 4, 4\), expected four axes"),
        (np.zeros((0, 1, 4, 4), np.float32), "none of them empty"),
        (np.zeros((1, 1, 4, 4)), "a: got float64, expected a float32 array"),
        ([[0.0]], "a: got list, expected a float32 array"),
        (
            np.full((1, 1, 1, 2), np.nan, np.float32),
            r"got 2 values that are NaN or infinite, the first at \(0, 0, 0, 0\)",
        ),
        (np.full((1, 1, 1, 2), 2.0, np.float32), r"got 2 values outside \[0, 1\]"),
    ],
)
def test_a_sequence_of_anything_else_is_refused(frames, message):
    with pytest.raises(SequenceError, match=message):
        ImageSequence(frames, "a")
