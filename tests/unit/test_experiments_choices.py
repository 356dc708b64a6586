"""What is chosen inside the training folds."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.breakhis import Fields, limit  # noqa: E402  torch is optional
from experiments.breakhis_choices import CHOICES, judged, softened  # noqa: E402

from heclstm.card.preparation import Preparation  # noqa: E402
from heclstm.data.datasets import Part, Splits  # noqa: E402
from heclstm.model.cells.diagonal import DiagonalConfig  # noqa: E402
from heclstm.model.config import BlockConfig, ModelConfig  # noqa: E402
from heclstm.model.recipe import Optimization, TrainConfig  # noqa: E402


def test_what_is_chosen_for_a_fold_has_not_seen_it():
    """Scores of the held-out fold, and of networks that learned from it, decide nothing."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 4)
    parts = [Part(np.zeros((8, 1)), labels, tuple(f"{k} {n}" for n in range(8))) for k in range(5)]
    pairs = [(pair, tested) for pair in itertools.combinations(range(5), 2) for tested in pair]
    scores = {pair: rng.normal(size=8) for pair in pairs}
    found = judged(scores, Fields(tuple(parts)))
    other = {
        (pair, tested): each if 2 in pair and tested != 2 else labels * 1.0 for (pair, tested), each in scores.items()
    }
    again = judged(other, Fields(tuple(parts)))
    same = [before == after for before, after in zip(found["by_fold"], again["by_fold"], strict=True)]
    assert same == [False, False, True, False, False]
    assert again["sequence"][0] > found["sequence"][0]


def test_the_limit_is_the_slide_that_most_seeds_get_wrong():
    labels, names = np.array([0, 0, 1, 1, 1]), ("a/1", "b/1", "c/1", "c/2", "d/1")
    part = Part(np.zeros((5, 1)), labels, tuple("abccd"), names)
    scores = [[np.array([0.0, 2.5, 1.0, 2.0, 3.0])], [np.array([0.0, 2.5, 1.0, 2.0, 1.0])]]
    found = limit(scores, Fields((part,)))  # means 0, 2.5, 1, 2, 2
    assert [(each["name"], round(each["share"], 3)) for each in found["lost"]] == [
        ("b/1", 1.0), ("c/1", 0.5), ("c/2", 0.5), ("d/1", 0.5),
    ]  # fmt: skip
    assert found["slide"] == "c"
    assert found["without"] == [1.0, 0.5]


def test_a_taught_network_learns_from_the_mean_of_its_teachers(tmp_path):
    rng = np.random.default_rng(0)
    parts = [Part(rng.random((n, 3, 1, 8, 8)).astype(np.float32), np.arange(n) % 2) for n in (12, 8, 8)]
    model = ModelConfig(3, 1, 8, 8, (BlockConfig(4),), DiagonalConfig(3))
    config = TrainConfig(
        "clips", Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8), model, optimization=Optimization(1, batch_size=6)
    )
    splits = Splits(*parts, "noise")
    choice = CHOICES["stain jitter, taught by three"]
    targets = softened(choice, config, splits, tmp_path)
    assert len(list(tmp_path.iterdir())) == len(choice.teachers) == 3
    labels = splits.train.labels
    # 0.3 of each is its label, and the rest a probability
    assert ((0.3 * labels <= targets) & (targets <= 0.3 * labels + 0.7)).all()
    assert np.ptp(targets[labels == 1]) > 0
