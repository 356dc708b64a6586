"""Folds inside the training part of fold 1: where choices are made, so that no held-out fold is looked at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heclstm.data.datasets import Part, Splits, fit_part, load_dataset
from heclstm.model.recipe import TrainConfig

FOLDS = 5


def inner_folds(path: Path, config: TrainConfig) -> list[Part]:
    """Folds 2 to 5 of a data set, whose sequences are those of the first fold's training part."""
    parts = []
    for fold in range(2, FOLDS + 1):
        options = {**config.data, "folds": FOLDS, "fold": fold}
        parts.append(fit_part(load_dataset(config.dataset, path, options).test, config.preparation))
    return parts


def inner_splits(parts: Sequence[Part], tested: int) -> Splits:
    """All folds but one to train with. Validation is a formality: the first sequences of each outcome."""
    train = together([part for k, part in enumerate(parts) if k != tested])
    few = np.concatenate([np.flatnonzero(train.labels == label)[:4] for label in (0, 1)])
    mask = None if train.mask is None else train.mask[few]
    return Splits(
        train, Part(np.asarray(train.images)[few], train.labels[few], mask=mask), parts[tested], "inner folds"
    )


def together(parts: Sequence[Part]) -> Part:
    """The same sequences in one part."""
    masks = [part.mask for part in parts if part.mask is not None]
    return Part(
        np.concatenate([np.asarray(part.images) for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(patient for part in parts for patient in part.patients),
        mask=np.concatenate(masks) if masks else None,
    )
