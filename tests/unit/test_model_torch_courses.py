"""Augmentation of frames: noise and offsets inside of the picture, sequences that run backwards, frames exchanged."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
from heclstm.card.preparation import Preparation
from heclstm.data.datasets import Part
from heclstm.errors import ModelError
from heclstm.model.recipe import Augmentation
from heclstm.model.train.augment import augment
from heclstm.model.train.batches import TrainingBatches
from heclstm.model.train.stain import ABSORBED, stained
from tiny_training import CONFIG


def test_noise_and_offsets_have_their_spread_and_spare_what_lies_outside():
    images = np.full((400, 5, 1, 4, 4), 0.5, np.float32)
    images[..., 0, 0] = 0.0  # in all frames
    images[:, 2, :, 1, 1] = 0.0  # in one frame only
    rng = np.random.default_rng(0)
    changed = augment(images, Augmentation(noise=0.03, offset=0.05), rng)
    assert changed.dtype == np.float32
    assert not changed[..., 0, 0].any()
    assert changed[:, 2, 0, 1, 1].any()
    inside = changed[..., 2:, :].reshape(400, -1) - 0.5
    # standard errors: of 400 means 3.5 % of their spread, of 16,000 deviations 0.6 %; four of them
    assert inside.mean(1).std() == pytest.approx(0.05, rel=0.15)
    assert (inside - inside.mean(1, keepdims=True)).std() == pytest.approx(0.03, rel=0.03)


def test_whole_numbers_stay_whole_and_within_their_limits():
    images = np.full((3, 2, 1, 2, 2), 250, np.uint8)
    changed = augment(images, Augmentation(noise=0.1), np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert changed.max() == 255


def test_stains_change_as_amounts_do_alike_in_all_frames():
    """By hand: a pixel of given amounts, other amounts of the same stains, and light through both."""
    amounts = np.array([[0.8, 0.3, 0.1], [0.2, 0.6, 0.05]])  # of two frames
    pictures = np.exp(-amounts @ ABSORBED).reshape(1, 2, 3, 1, 1) * np.ones((4, 1, 1, 2, 3))
    changed = stained(pictures, 0.2, np.random.default_rng(0))
    found = -np.log(changed).transpose(0, 1, 3, 4, 2) @ np.linalg.inv(ABSORBED)
    # two frames tell factor and shift of each stain and sequence
    factor = (found[:, 0] - found[:, 1]) / (amounts[0] - amounts[1])
    shift = found[:, 0] - factor * amounts[0]
    for each in (factor - 1, shift):
        np.testing.assert_allclose(each, each[:, :1, :1] * np.ones_like(each), atol=1e-12)  # of all pixels
        assert np.abs(each).max() <= 0.2 + 1e-12
        assert len(np.unique(each[:, 0, 0].round(9))) == 12  # each sequence and stain its own
    np.testing.assert_allclose(stained(pictures, 0.0, np.random.default_rng(0)), pictures, atol=1e-15)


def test_stained_bytes_stay_bytes_and_spare_what_lies_outside():
    images = np.random.default_rng(1).integers(0, 256, (3, 2, 3, 5, 5), dtype=np.uint8)
    images[..., 0] = 0
    changed = augment(images, Augmentation(stain=0.3), np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert not changed[..., 0].any()
    assert (changed != images).any(axis=(1, 2, 3, 4)).all()


def test_turned_sequences_run_backwards_and_are_negative():
    preparation = Preparation("frames", CONFIG.preparation.shape, *CONFIG.preparation.shape)
    config = replace(CONFIG, preparation=preparation, augmentation=Augmentation(turned=0.5))
    count = 64
    shape = config.preparation.shape
    images = np.zeros((count, *shape), np.float32)
    images += (np.arange(shape[0]) / shape[0]).astype(np.float32).reshape(-1, 1, 1, 1)
    part = Part(images, np.ones(count, np.int64))
    seen = []
    for frames, targets, _ in TrainingBatches(part, np.ones(count, np.float32), config, epoch=0):
        rising = (frames[:, -1] > frames[:, 0]).flatten(1).all(1)
        assert (rising == (targets == 1)).all()
        seen += rising.tolist()
    assert 10 < sum(seen) < 54  # binomial with 64 and one half: more than five standard deviations


def test_exchanged_frames_stay_with_their_patient_and_label():
    preparation = Preparation("frames", CONFIG.preparation.shape, *CONFIG.preparation.shape)
    config = replace(CONFIG, preparation=preparation, augmentation=Augmentation(exchanged=True))
    frames, *size = config.preparation.shape
    patients, labels = ("a", "b", "a", "b", "a", "a"), np.array([0, 1, 0, 1, 1, 0])
    kind = np.array([0, 1, 0, 1, 2, 0])  # of patient and label
    images = np.zeros((6, frames, *size), np.float32) + np.arange(6 * frames).reshape(6, frames, 1, 1, 1) / 100
    part, orders = Part(images, labels, patients), []
    for epoch in range(3):
        batches = list(TrainingBatches(part, labels.astype(np.float32), config, epoch))
        seen = np.concatenate([np.rint(100 * each[:, :, 0, 0, 0].numpy()) for each, _, _ in batches])
        targets = np.concatenate([each.numpy() for _, each, _ in batches])
        owners = kind[(seen // frames).astype(int)]
        assert (owners == owners[:, :1]).all()  # all frames of a sequence are of one patient and label
        assert (targets == (owners[:, 0] > 0)).all()
        assert sorted(seen.flat) == list(range(6 * frames))  # each frame once
        orders.append({tuple(sorted(row)) for row in seen.tolist()})
    assert orders[0] != orders[1] or orders[1] != orders[2]


def test_where_there_is_no_course_they_are_refused():
    assert "turned" not in CONFIG.to_json()["augmentation"]  # earlier checkpoints stay valid
    with pytest.raises(ModelError, match="turned: got 2, expected 0 to 1"):
        Augmentation(turned=2)
    with pytest.raises(ModelError, match="exchanged: got 2, expected true or false"):
        Augmentation(exchanged=2)
    for name in ("noise", "offset", "turned", "exchanged", "stain"):
        with pytest.raises(ModelError, match=f"{name}: is for preparation.kind 'frames', got 'volume'"):
            replace(CONFIG, augmentation=Augmentation(**{name: True if name == "exchanged" else 0.1}))


def test_only_pictures_in_colour_have_stains():
    grey = Preparation("frames", (2, 2, 8, 8), 2, 2, 8, 8)
    with pytest.raises(ModelError, match="stain: is for pictures in colour, got 2 channels, expected 3"):
        replace(CONFIG, preparation=grey, augmentation=Augmentation(stain=0.1))
