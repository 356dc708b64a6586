"""An easy task and a recipe that learns it in a second, for tests of training."""

import numpy as np

from heclstm.card.preparation import Preparation
from heclstm.data.datasets import Part
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.recipe import Augmentation, Optimization, TrainConfig

CONFIG = TrainConfig(
    dataset="medmnist3d",
    preparation=Preparation("volume", (8, 8, 4), 2, 2, 8, 8, axis=2, slices_per_frame=2),
    model=ModelConfig(2, 2, 8, 8, (BlockConfig(6), BlockConfig(8)), LstmConfig(4)),
    optimization=Optimization(epochs=8, batch_size=16, learning_rate=1e-2),
    augmentation=Augmentation(axes=(0, 1), shift=1, flip_axes=(0,)),
)


def squares(count, seed):
    """Label 1: a larger square somewhere in the volume."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    images = np.zeros((count, 8, 8, 4), np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = rng.integers(1, 4, 2)
        size = 4 if label else 3
        image[row : row + size, column : column + size] = 255
    return Part(images, labels.astype(np.int64))
