"""Augmentation of courses: noise and offsets inside of the picture, and sequences that run backwards."""

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


def test_where_there_is_no_course_they_are_refused():
    assert "turned" not in CONFIG.to_json()["augmentation"]  # earlier checkpoints stay valid
    with pytest.raises(ModelError, match="turned: got 2, expected 0 to 1"):
        Augmentation(turned=2)
    with pytest.raises(ModelError, match="noise, offset and turned are for preparation.kind 'frames'"):
        replace(CONFIG, augmentation=Augmentation(noise=0.1))
