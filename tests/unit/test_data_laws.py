"""What every data set must keep, tried on a small sample of each in its real form."""

import numpy as np
import pytest

import dataset_trees
from heclstm.card.preparation import Preparation
from heclstm.data.datasets import DATASETS, fit_part, load_dataset, prepare_part
from heclstm.errors import FileFormatError, ModelError

FRAMES = Preparation("frames", (4, 3, 16, 16), 4, 4, 16, 16, resize="crop", colour="rgb", length="sample")
FIELDS = Preparation("frames", (3, 1, 8, 9), 3, 1, 8, 9)
VOLUME = Preparation("volume", (6, 6, 6), 2, 4, 8, 8, axis=0, slices_per_frame=3)

# name → (makes its files in a folder and returns the path, its options, how its images are prepared)
SAMPLES = {
    "acetowhitening": (lambda folder: None, {"train": 8, "validation": 4, "test": 4, "size": 16}, FRAMES),
    "annocerv": (dataset_trees.annocerv, {}, FRAMES),
    "breakhis": (dataset_trees.breakhis, {}, FRAMES),
    "clips": (dataset_trees.clips, {}, FRAMES),
    "colposcopy": (dataset_trees.colposcopy, {}, FRAMES),
    "medmnist3d": (dataset_trees.medmnist3d, {}, VOLUME),
    "visual_fields": (dataset_trees.visual_fields, {}, FIELDS),
}
PARTS = ("train", "validation", "test")


def test_each_data_set_has_a_sample():
    assert SAMPLES.keys() == DATASETS.keys()


@pytest.fixture(scope="module", params=sorted(DATASETS))
def sample(request, tmp_path_factory):
    """(name, path, options, preparation)"""
    make, options, preparation = SAMPLES[request.param]
    return request.param, make(tmp_path_factory.mktemp(request.param)), options, preparation


@pytest.fixture(scope="module")
def splits(sample):
    name, path, options, _ = sample
    return load_dataset(name, path, options)


def test_training_and_validation_hold_both_outcomes(splits):
    splits.require_two_classes()
    for part in PARTS:
        labels = getattr(splits, part).labels
        assert labels.dtype == np.int64
        assert labels.ndim == 1
        assert set(labels) <= {0, 1}
        assert len(labels)


def test_images_become_what_a_model_takes(sample, splits):
    preparation = sample[-1]
    for part in PARTS:
        frames, mask = prepare_part(getattr(splits, part), preparation)
        count = len(getattr(splits, part))
        assert frames.shape == (
            count,
            preparation.frames,
            preparation.channels,
            preparation.height,
            preparation.width,
        )
        assert frames.dtype == np.float32
        assert frames.min() >= 0
        assert frames.max() <= 1
        if preparation.length == "exact":
            assert mask is None
        else:
            assert mask.shape == (count, preparation.frames)
            assert mask[:, 0].all()  # one frame is always there
            assert not (mask[:, 1:] & ~mask[:, :-1]).any()  # padding stands behind


def test_fitting_twice_is_fitting_once(sample, splits):
    once = fit_part(splits.train, sample[-1])
    assert fit_part(once, sample[-1]).images is once.images


def test_no_patient_is_in_two_parts(splits):
    named = [set(getattr(splits, part).undivided) for part in PARTS]
    assert not named[0] & named[1]
    assert not named[0] & named[2]
    assert not named[1] & named[2]


def test_the_same_files_give_the_same_data_set(sample, splits):
    name, path, options, preparation = sample
    again = load_dataset(name, path, options)
    for part in PARTS:
        first, second = getattr(splits, part), getattr(again, part)
        assert np.array_equal(first.labels, second.labels)
        assert first.patients == second.patients
        assert first.names == second.names
        assert np.array_equal(prepare_part(first, preparation)[0], prepare_part(second, preparation)[0])


def test_options_are_checked(sample):
    name, path, options, _ = sample
    with pytest.raises(ModelError, match=rf"data\.colour: {name} has no such option, expected some of "):
        load_dataset(name, path, {**options, "colour": 1})
    some, default = next((f.name, f.default) for f in DATASETS[name].options.__dataclass_fields__.values())
    with pytest.raises(ModelError, match=rf"data\.{some}: got list, expected {type(default).__name__}"):
        load_dataset(name, path, {some: []})


@pytest.mark.parametrize("name", [name for name in DATASETS if DATASETS[name].needs_path])
def test_a_path_is_needed_and_must_exist(name, tmp_path):
    with pytest.raises(ModelError, match=f"data set {name}: got no path, expected where its files are"):
        load_dataset(name)
    with pytest.raises(FileFormatError, match=r"nowhere: cannot be read \(No such file"):
        load_dataset(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["annocerv", "breakhis", "clips", "colposcopy", "visual_fields"])
def test_an_empty_folder_is_refused(name, tmp_path):
    with pytest.raises(FileFormatError, match=r"expected|cannot be read"):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["annocerv", "breakhis", "clips", "colposcopy"])
def test_bad_files_are_listed_before_training(name, tmp_path):
    make, options, _ = SAMPLES[name]
    path = make(tmp_path)
    files = sorted(tmp_path.rglob("*.png"))
    files[1].write_bytes(files[1].read_bytes()[:60])  # truncated
    files[-1].write_bytes(b"not a picture")
    with pytest.raises(FileFormatError, match=r"files: 2 cannot be used; mend them.*\n.*no image") as caught:
        load_dataset(name, path, options)
    assert files[1].name in str(caught.value)
    assert files[-1].name in str(caught.value)
    splits = load_dataset(name, path, {**options, "skip_bad_files": True})
    assert any(note.startswith("2 bad files are left out") for note in splits.notes)


def test_folds_hold_every_patient_once(sample):
    """Two folds: each patient stands in exactly one as its test part; the official test part of a set that brings
    its parts as arrays is in none."""
    name, path, options, preparation = sample
    found = [load_dataset(name, path, {**options, "folds": 2, "fold": fold}) for fold in (1, 2)]
    images = []
    for each in found:
        whole = [fit_part(getattr(each, part), preparation) for part in PARTS]
        assert len({patient for part in whole for patient in part.patients}) >= sum(bool(len(part)) for part in whole)
        images.append([frames.tobytes() for frames in whole[2].images])
    patients = [set(each.test.patients) for each in found]
    assert not patients[0] & patients[1]
    assert not set(images[0]) & set(images[1])
    official = load_dataset(name, path, options)
    if isinstance(official.test.images, np.ndarray) and name != "visual_fields":  # which brings no parts of its own
        withheld = {frames.tobytes() for frames in official.test.images}
        dealt = {f.tobytes() for each in found for part in PARTS for f in getattr(each, part).images}
        assert not withheld & dealt
        assert len(images[0]) + len(images[1]) == len(official.train) + len(official.validation)
