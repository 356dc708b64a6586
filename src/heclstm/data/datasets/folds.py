"""Cross-validation where a data set brings its own parts: folds inside them, its test part untouched."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.datasets.patients import TEST, TRAIN, VALIDATION, Splitting, split
from heclstm.data.datasets.splits import Part, Splits


def folded(splits: Splits, how: Splitting) -> Splits:
    """Training and validation part together, dealt by patient: one fold stands as the test part.

    For data sets whose images are arrays. The test part of `splits` is in none of the results.
    """
    both = (splits.train, splits.validation)
    images = np.concatenate([np.asarray(part.images) for part in both])
    labels = np.concatenate([part.labels for part in both])
    patients = _joined([part.patients for part in both]) or tuple(str(row) for row in range(len(labels)))
    names = _joined([part.names for part in both])
    place = np.array(split(patients, labels.tolist(), how))

    def part(wanted: str) -> Part:
        rows: NDArray[Any] = np.flatnonzero(place == wanted)
        return Part(
            images[rows],
            labels[rows],
            tuple(patients[row] for row in rows),
            tuple(names[row] for row in rows) if names else (),
        )

    note = f"fold {how.fold} of {how.folds}, of training and validation part; the test part stays out"
    return replace(splits, train=part(TRAIN), validation=part(VALIDATION), test=part(TEST), notes=(*splits.notes, note))


def _joined(texts: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(text for part in texts for text in part) if all(texts) else ()
