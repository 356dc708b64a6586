"""The registry and the MedMNIST reader, on a file of the same form."""

import logging

import numpy as np
import pytest

from heclstm.data.datasets import Part, Splits, load_dataset
from heclstm.errors import FileFormatError, ModelError


def arrays(**changes):
    rng = np.random.default_rng(0)
    made = {}
    for name, count in (("train", 5), ("val", 3), ("test", 4)):
        made[f"{name}_images"] = rng.integers(0, 256, (count, 6, 6, 6), dtype=np.uint8)
        made[f"{name}_labels"] = rng.integers(0, 2, (count, 1), dtype=np.uint8)
    return made | changes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "small.npz"


def test_the_official_parts_are_kept(path, caplog):
    np.savez_compressed(path, **arrays())
    with caplog.at_level(logging.WARNING):
        splits = load_dataset("medmnist3d", path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [5, 3, 4]
    assert np.array_equal(splits.validation.images, arrays()["val_images"])
    assert np.array_equal(splits.test.labels, arrays()["test_labels"][:, 0])
    assert splits.train.labels.dtype == np.int64
    assert splits.licence == "CC BY 4.0"
    assert "Scientific Data" in splits.attribution
    assert "none of the published files" in caplog.text
    assert repr(splits.train) == "Part(5 images of (6, 6, 6))"


def test_one_class_against_all_others(path):
    labels = np.array([[0], [2], [1], [2], [10]], np.uint8)
    np.savez_compressed(path, **arrays(train_labels=labels))
    assert load_dataset("medmnist3d", path).train.labels.tolist() == [0, 2, 1, 2, 10]
    with pytest.raises(
        ModelError, match="train: got 1 of label 0, 1 of label 1, 2 of label 2, 1 of label 10, expected"
    ):
        load_dataset("medmnist3d", path).require_two_classes()
    assert load_dataset("medmnist3d", path, {"positive": 2}).train.labels.tolist() == [0, 1, 0, 1, 0]


def test_parts_hold_one_of_each_for_every_sequence():
    images, labels = np.zeros((2, 1, 1, 1)), np.array([0, 1])
    with pytest.raises(FileFormatError, match="got 3 patients for 2 images"):
        Part(images, labels, ("a", "b", "c"))
    with pytest.raises(FileFormatError, match=r"got a mask of shape \(3, 1\) for 2 images"):
        Part(images, labels, mask=np.ones((3, 1), bool))


def test_parts_that_share_a_patient_are_refused():
    part = Part(np.zeros((2, 1, 1, 1)), np.array([0, 1]), ("a", "b"))
    other = Part(np.zeros((1, 1, 1, 1)), np.array([0]), ("b",))
    with pytest.raises(FileFormatError, match="small: patient b is in train and in test, expected in one part only"):
        Splits(part, Part(np.zeros((0, 1, 1, 1)), np.zeros(0, np.int64)), other, "small")


def test_an_unknown_name_lists_the_known_ones(path):
    with pytest.raises(ModelError, match=r"data set: got 'imagenet', expected one of .*medmnist3d"):
        load_dataset("imagenet", path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_images": np.zeros((3, 6, 6), np.uint8)}, r"val_images: got uint8 of shape \(3, 6, 6\)"),
        ({"val_images": np.zeros((3, 6, 6, 6))}, "val_images: got float64"),
        ({"val_labels": np.zeros((2, 1), np.uint8)}, r"got 3 images and labels of shape \(2,\)"),
        (
            {"val_labels": np.zeros((3, 4), np.uint8)},
            r"val_labels: got labels of shape \(3, 4\), expected one for each sequence",
        ),
    ],
)
def test_other_arrays_are_refused(path, changes, message):
    np.savez(path, **arrays(**changes))
    with pytest.raises(FileFormatError, match=message):
        load_dataset("medmnist3d", path)


def test_files_that_are_none_are_refused(path):
    with pytest.raises(FileFormatError, match="cannot be read"):
        load_dataset("medmnist3d", path)
    path.write_bytes(b"hello")
    with pytest.raises(FileFormatError, match="is no NumPy file of plain numbers"):
        load_dataset("medmnist3d", path)
    np.savez(path, train_images=arrays()["train_images"])
    with pytest.raises(FileFormatError, match="train_labels"):
        load_dataset("medmnist3d", path)
    np.savez(path, **arrays(train_labels=np.array([[None]] * 5)))
    with pytest.raises(FileFormatError, match="is no NumPy file of plain numbers"):
        load_dataset("medmnist3d", path)
