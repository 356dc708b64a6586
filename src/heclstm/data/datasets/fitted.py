"""Raw images of a data set → arrays of the size that a model's preparation asks for, once, before training."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.datasets.files import refuse
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.fit import fit
from heclstm.data.prepare import prepare_all
from heclstm.errors import ModelError, SequenceError


def fit_training(splits: Splits, preparation: Preparation) -> Splits:
    """Training and validation images brought to their size; the test part stays unread."""
    train, validation = fit_part(splits.train, preparation), fit_part(splits.validation, preparation)
    return replace(splits, train=train, validation=validation)


def fit_part(part: Part, preparation: Preparation) -> Part:
    """The same sequences as one array (N, *preparation.source), with their mask.

    An array for a preparation without choices stays as it is. Raises FileFormatError that lists every sequence
    which does not fit, with its reason.
    """
    if part.mask is not None or (isinstance(part.images, np.ndarray) and not preparation.flexible):
        return part
    if preparation.kind != "frames":
        raise ModelError(f"preparation.kind: got {preparation.kind!r}, expected 'frames' for a data set of pictures")
    images, counts, wrong = [], [], []
    for row in range(len(part)):
        try:
            array, real = fit(part.images[row], preparation, part.name(row))
            if array.shape != preparation.source:
                raise SequenceError(
                    f"{part.name(row)}: got shape {array.shape}, expected {preparation.source} (frames, channels, "
                    "height, width); resample the images, or choose preparation.resize and colour"
                )
        except SequenceError as error:
            wrong.append(str(error))
        else:
            images.append(array)
            counts.append(real)
    if wrong:
        raise refuse("sequences", wrong, "change them, or the training file's [preparation]")
    stacked = np.stack(images) if images else np.zeros((0, *preparation.source), np.uint8)
    mask = np.arange(preparation.frames) < np.array(counts, int).reshape(-1, 1)
    return replace(part, images=stacked, mask=None if preparation.length == "exact" else mask)


def prepare_part(part: Part, preparation: Preparation) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Frames (N, T, C, H, W) and their mask (N, T), which is None where no sequence can be shorter."""
    part = fit_part(part, preparation)
    return prepare_all(part.images, preparation), part.mask
