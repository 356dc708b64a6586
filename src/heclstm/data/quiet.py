"""No warnings of libraries that read foreign files: they quote values, and a hospital's log keeps them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_depth = 0
_silencer: warnings.catch_warnings[None]


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings are ignored while at least one thread is inside: `catch_warnings` alone would mix up their filters."""
    global _depth, _silencer
    with _lock:
        if _depth == 0:
            _silencer = warnings.catch_warnings()
            _silencer.__enter__()
            warnings.simplefilter("ignore")
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _silencer.__exit__(None, None, None)
