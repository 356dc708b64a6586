"""Labels in arrays: whole numbers, one for each sequence, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import FileFormatError


def class_labels(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """(N,) or (N, 1) of whole numbers from 0, of any type. Raises FileFormatError; the message shows no label."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise FileFormatError(f"{where}: got labels of shape {values.shape}, expected one for each sequence")
    if values.dtype.kind not in "biuf":
        raise FileFormatError(f"{where}: got labels of type {values.dtype}, expected whole numbers from 0")
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(values) | (values != np.floor(values)) | (values < 0) | (values > 2**31)
    if wrong.any():
        raise FileFormatError(
            f"{where}: {int(wrong.sum())} of {len(values)} labels are no whole numbers from 0, the first in row "
            f"{int(np.argmax(wrong))}; leave out what is not known"
        )
    return values.astype(np.int64)


def binary_labels(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """As `class_labels`, of 0 and 1 alone."""
    labels = class_labels(values, where)
    if wrong := int((labels > 1).sum()):
        raise FileFormatError(f"{where}: {wrong} of {len(labels)} labels are above 1, expected 0 and 1")
    return labels
