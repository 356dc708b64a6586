"""Held-out sequences with their frames in another order: what does a network see of the course?"""

from dataclasses import replace

import numpy as np

from heclstm.data.datasets import Part

ORDERS = ("reversed", "shuffled")


def reordered(part: Part, order: str) -> Part:
    """The real frames of each sequence backwards, or each in another order, always the same; padding stays behind."""
    images, mask = np.asarray(part.images), part.mask
    frames = images.shape[1]
    lengths = np.full(len(images), frames) if mask is None else mask.sum(1)
    rng, changed = np.random.default_rng(99), images.copy()
    for row, length in enumerate(lengths.tolist()):
        changed[row, :length] = (
            images[row, :length][::-1] if order == ORDERS[0] else images[row, rng.permutation(length)]
        )
    return replace(part, images=changed)
