"""What every data set hands to training: three patient-disjoint parts, each of raw images and labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import FileFormatError


@dataclass(frozen=True, repr=False)
class Part:
    """Raw images (one patient per row, as `prepare` takes them) and integer labels."""

    images: NDArray[Any]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or len(self.images) != len(self.labels):
            raise FileFormatError(
                f"data set: got {len(self.images)} images and labels of shape "
                f"{self.labels.shape}, expected one label each"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Part({len(self)} images of {self.images.shape[1:]})"


@dataclass(frozen=True)
class Splits:
    """The official parts of a data set. `test` is for one look at the end, never for choosing."""

    train: Part
    validation: Part
    test: Part
    name: str
    licence: str = ""
    attribution: str = ""
