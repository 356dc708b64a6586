"""The synthetic generator: one frame tells as little as promised, the course tells all."""

import numpy as np
import pytest

from heclstm.data.datasets import load_dataset, read_options
from heclstm.data.datasets.acetowhitening import time_course, whiteness
from heclstm.errors import ModelError
from heclstm.model.metrics import area_under_curve

COUNT = 4000


def courses(**options):
    """(labels, w(t)) of many patients, without drawing them."""
    made = read_options("acetowhitening", options)
    labels = np.arange(COUNT) % 2
    rng = np.random.default_rng(1)
    return labels, np.stack([whiteness(int(label), made, rng) for label in labels])


def bound(labels):
    """Four standard deviations of an AUC near 1/2 or beyond: √((n₁ + n₀ + 1) / (12 n₁ n₀)) is its largest one."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return 4 * np.sqrt((len(labels) + 1) / (12 * positives * negatives))


@pytest.mark.parametrize("auc", [0.6, 0.7, 0.79])
@pytest.mark.parametrize("frames", [3, 5, 8])
def test_the_best_reader_of_one_frame_reaches_what_was_set(auc, frames):
    labels, white = courses(single_frame_auc=auc, frames=frames, noise=0.0)
    each = [max(a, 1 - a) for a in (area_under_curve(white[:, t], labels) for t in range(frames))]
    assert max(each) == pytest.approx(auc, abs=bound(labels))


def test_the_mean_of_all_frames_tells_nothing():
    labels, white = courses()
    assert area_under_curve(white.mean(axis=1), labels) == pytest.approx(0.5, abs=bound(labels))


def test_the_course_tells_all():
    labels, white = courses()
    assert area_under_curve(white @ time_course(5), labels) > 0.999
    harder, white = courses(noise=1.0)
    assert 0.7 < area_under_curve(white @ time_course(5), harder) < 0.99


@pytest.mark.parametrize("frames", [2, 5, 9])
def test_the_time_course(frames):
    course = time_course(frames)
    assert course[0] == -1
    assert course.mean() == pytest.approx(0, abs=1e-15)
    assert (np.diff(course) > 0).all()


def test_more_sequences_do_not_change_the_first_ones():
    few, many = (load_dataset("acetowhitening", options={"train": n, "size": 12}) for n in (4, 8))
    assert np.array_equal(few.train.images, many.train.images[:4])
    other = load_dataset("acetowhitening", options={"train": 4, "size": 12, "seed": 1})
    assert not np.array_equal(few.train.images, other.train.images)
    assert not np.array_equal(few.train.images[:4], few.validation.images[:4])


def test_it_says_everywhere_that_it_is_synthetic():
    splits = load_dataset("acetowhitening", options={"train": 2, "validation": 2, "test": 2, "size": 8})
    assert "synthetic" in splits.name
    assert "synthetic" in splits.notes[0]
    assert splits.train.images.shape == (2, 5, 3, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"single_frame_auc": 0.5}, "single_frame_auc: got 0.5, expected between 0.5 and 1"),
        ({"frames": 1}, "data.frames: got 1, expected a whole number of at least 2"),
        ({"noise": -0.1}, "data.noise: got -0.1, expected 0 or more"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ModelError, match=message):
        load_dataset("acetowhitening", options=options)
