"""Arrays whose values stay on disk until somebody asks for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class LateArray:
    """Shape and type of an array; NumPy reads its values as soon as it needs them.

    digest: see `values_digest`. read: gives the values.
    """

    def __init__(
        self, dtype: np.dtype[Any], shape: tuple[int, ...], digest: bytes, read: Callable[[], NDArray[Any]]
    ) -> None:
        self.dtype, self.shape, self.digest, self._read = dtype, shape, digest, read
        self.ndim = len(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._read(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"<LateArray {self.dtype} {self.shape}>"


def values_digest(array: NDArray[Any]) -> bytes:
    """SHA-256 of an array's bytes, row by row; of one that was not read, as it was noted."""
    if isinstance(array, LateArray):
        return array.digest
    return hashlib.sha256(np.ascontiguousarray(array).data).digest()
