"""Raw images of a data set → arrays of the size that a model's preparation asks for, once, before training."""

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.datasets.files import refuse
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.fit import fit
from heclstm.data.prepare import prepare_all
from heclstm.errors import FileFormatError, ModelError, SequenceError

logger = logging.getLogger(__name__)


def fit_training(splits: Splits, preparation: Preparation) -> Splits:
    """Training and validation images brought to their size; the test part stays unread."""
    train, validation = fit_part(splits.train, preparation), fit_part(splits.validation, preparation)
    return replace(splits, train=train, validation=validation)


def fit_part(part: Part, preparation: Preparation) -> Part:
    """The same sequences as one array (N, *preparation.source), with their mask.

    An array for a preparation without choices stays as it is. Frames that are left out are logged, in one line.
    Raises FileFormatError that lists the sequences which do not fit, by their reasons.
    """
    if part.mask is not None or (isinstance(part.images, np.ndarray) and not preparation.flexible):
        return part
    if preparation.kind != "frames":
        raise ModelError(f"preparation.kind: got {preparation.kind!r}, expected 'frames' for a data set of pictures")
    images, counts, wrong, given = [], [], [], []
    for row in range(len(part)):
        try:
            raw = part.images[row]
            array, real = fit(raw, preparation, part.name(row))
            if array.shape != preparation.source:
                raise SequenceError(
                    f"{part.name(row)}: got shape {array.shape}, expected {preparation.source} (frames, channels, "
                    "height, width); resample the images, or choose preparation.resize and colour"
                )
        except (SequenceError, FileFormatError) as error:
            wrong.append((part.name(row), str(error).removeprefix(f"{part.name(row)}: ")))
        else:
            images.append(array)
            counts.append(real)
            given.append(len(raw))
    if wrong:
        remedy = "change them, or the training file's [preparation] (data.fewest_frames leaves out short ones)"
        raise refuse("sequences", wrong, remedy)
    if longer := [count for count in given if count > preparation.frames]:
        logger.warning(
            "%d of %d sequences have more than %d frames: %d of their %d frames are used, evenly spaced",
            len(longer),
            len(given),
            preparation.frames,
            len(longer) * preparation.frames,
            sum(longer),
        )
    stacked = np.stack(images) if images else np.zeros((0, *preparation.source), np.uint8)
    mask = np.arange(preparation.frames) < np.array(counts, int).reshape(-1, 1)
    return replace(part, images=stacked, mask=None if preparation.length == "exact" else mask)


def prepare_part(part: Part, preparation: Preparation) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Frames (N, T, C, H, W) and their mask (N, T), which is None where no sequence can be shorter."""
    part = fit_part(part, preparation)
    return prepare_all(part.images, preparation), part.mask
