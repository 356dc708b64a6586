"""What the trainer feeds to a network: augmented training batches, and whole parts as they are."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heclstm.data.datasets import Part, prepare_part
from heclstm.data.prepare import prepare_all
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.augment import augment

Batch = tuple[Tensor, Tensor, Tensor | None]  # frames (B, T, C, H, W), targets (B,), mask (B, T)


class TrainingBatches:
    """One epoch: every sequence once, in a new order, augmented anew; all drawn from (seed, epoch).

    part: raw images that fit the preparation (`fit_training`). targets: one in [0, 1] for each sequence.
    """

    def __init__(self, part: Part, targets: NDArray[np.float32], config: TrainConfig, epoch: int) -> None:
        self._part, self._targets, self._config, self._epoch = part, targets, config, epoch
        self._steps = steps_of(len(part), config)

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        images, mask, config = np.asarray(self._part.images), self._part.mask, self._config
        rng = np.random.default_rng([config.seed, self._epoch])
        if config.augmentation.exchanged:
            images = exchanged(images, self._part, rng)
        for rows in np.array_split(rng.permutation(len(images)), self._steps):
            chosen, targets = images[rows], self._targets[rows]
            if share := config.augmentation.turned:
                turned = rng.random(len(rows)) < share
                backwards = turned.reshape(-1, *[1] * (chosen.ndim - 1))
                chosen, targets = np.where(backwards, chosen[:, ::-1], chosen), np.where(turned, np.float32(0), targets)
            frames = prepare_all(augment(chosen, config.augmentation, rng), config.preparation)
            real = None if mask is None else torch.from_numpy(mask[rows])
            yield torch.from_numpy(frames), torch.from_numpy(targets), real


def exchanged(images: NDArray[Any], part: Part, rng: np.random.Generator) -> NDArray[Any]:
    """The images (N, T, …) of a part, in which frames of a patient's sequences with the same label change places."""
    names = part.patients or tuple(part.name(row) for row in range(len(part)))
    rows_of: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(names, part.labels.tolist(), strict=True)):
        rows_of[key].append(row)
    changed = np.empty_like(images)
    for rows in rows_of.values():
        frames = images[rows]
        mixed = rng.permutation(frames.reshape(-1, *frames.shape[2:]))
        changed[rows] = mixed.reshape(frames.shape)
    return changed


def steps_of(sequences: int, config: TrainConfig) -> int:
    """Batches in an epoch. All are nearly equal, since batch normalization dislikes a small last one."""
    return max(1, sequences // config.optimization.batch_size)


class WholePart:
    """A part as it is, in batches. order: rows in the order wanted; by default their own."""

    def __init__(self, part: Part, config: TrainConfig, order: NDArray[np.intp] | None = None) -> None:
        self._part, self._config = part, config
        self._order = np.arange(len(part)) if order is None else order

    def __len__(self) -> int:
        return steps_of(len(self._part), self._config)

    def __iter__(self) -> Iterator[Batch]:
        frames, mask = prepare_part(self._part, self._config.preparation)
        for rows in np.array_split(self._order, len(self)):
            real = None if mask is None else torch.from_numpy(mask[rows])
            labels = torch.from_numpy(self._part.labels[rows].astype(np.float32))
            yield torch.from_numpy(frames[rows]), labels, real
