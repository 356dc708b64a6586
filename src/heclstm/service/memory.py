"""What the C library does with memory that was let go of."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 64 << 20  # idle, until it is given back to the system
MAPPED_BYTES = 8 << 20  # what is larger is always taken from the system, and given back at once


def keep_memory() -> None:
    """Take pieces of an upload from memory that earlier ones let go of: fresh pages would cost as much as a copy.

    Where the C library is not glibc, nothing changes.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_THRESHOLD, MAPPED_BYTES)
            library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
