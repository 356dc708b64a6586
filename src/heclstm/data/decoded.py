"""Pictures that are asked for several times are decoded once, while somebody says that they will be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from heclstm.data.images import Images

LARGEST_BYTES = 1 << 30  # of all that is kept; what comes later is decoded each time


@dataclass
class Decoded:
    """Thread-safe. Outside of `kept` it keeps nothing."""

    limit_bytes: int = LARGEST_BYTES
    _known: dict[Hashable, Images] = field(default_factory=dict)
    _bytes: int = 0
    _users: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within the block, and what it calls, files are taken to stay as they are."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._known.clear()
                    self._bytes = 0

    def get(self, key: Hashable, read: Callable[[], Images]) -> Images:
        """What `read` gave for this key before, or gives now. Kept pixels cannot be changed."""
        with self._lock:
            if (found := self._known.get(key)) is not None:
                return found
        images = read()
        size = sum(frame.nbytes for frame in images.frames)
        with self._lock:
            if self._users and key not in self._known and self._bytes + size <= self.limit_bytes:
                for frame in images.frames:
                    frame.setflags(write=False)
                self._known[key] = images
                self._bytes += size
        return images


DECODED = Decoded()
