"""Pictures of a data set that is read for several folds are decoded once, while that is said."""

import numpy as np
import pytest

import dataset_trees
from heclstm.data.datasets import files, load_dataset
from heclstm.data.decoded import DECODED, Decoded
from heclstm.data.images import Images


@pytest.fixture
def decoded(monkeypatch):
    """Files that were decoded, as often as they were."""
    seen, read = [], files.read_images
    monkeypatch.setattr(files, "read_images", lambda paths, **options: (seen.extend(paths), read(paths, **options))[1])
    return seen


def read_folds(path):
    """As `train --folds` does: every fold is looked at first, then loaded again, and each sequence is read."""
    for _ in range(2):
        for fold in (1, 2):
            splits = load_dataset("breakhis", path, {"folds": 2, "fold": fold})
            for part in (splits.train, splits.validation, splits.test):
                for row in range(len(part)):
                    part.images[row]


def test_each_picture_is_decoded_once_for_all_folds(tmp_path, decoded):
    path = dataset_trees.breakhis(tmp_path)
    with DECODED.kept():
        read_folds(path)
    once = len(decoded)
    assert once == len(set(decoded)) > 0
    decoded.clear()
    read_folds(path)  # nobody says that it will be asked for again
    assert len(decoded) == 8 * once


def test_what_is_kept_has_a_limit_and_an_end():
    images = Images([np.zeros((1, 8, 8), np.uint8)], "alone", ("a.png",), "pictures")
    kept, asked = Decoded(limit_bytes=100), []

    def read():
        asked.append(1)
        return images

    with kept.kept():
        for name in ("a", "a", "b", "b"):  # 64 bytes each: there is no room for the second
            kept.get(name, read)
    assert len(asked) == 3
    kept.get("a", read)
    assert len(asked) == 4
