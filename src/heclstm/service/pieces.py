"""What has come of a body, in as few pieces as a disk or a parser wants: a chunk of HTTP may be one byte."""

from __future__ import annotations

import os
from collections import deque
from itertools import islice
from typing import IO

SMALL_BYTES = 4096  # pieces below this grow together: to copy them is cheaper than to keep each by itself
PIECES_MAX = 512  # of one write; systems take 1024


class Pieces:
    """In their order. Two neighbours hold SMALL_BYTES at least, so that there are few, whatever was sent."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes | bytearray] = []

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if len(piece) >= SMALL_BYTES:
            self._pieces.append(piece)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += piece
        elif piece:
            self._pieces.append(bytearray(piece))

    def take(self) -> list[bytes]:
        """All of them; none is left."""
        taken = [bytes(piece) if isinstance(piece, bytearray) else piece for piece in self._pieces]
        self.size, self._pieces = 0, []
        return taken


def write_pieces(file: IO[bytes], pieces: list[bytes], size: int) -> None:
    """All of them, or nothing: size is what the file had before. In few calls, since the event loop waits at each."""
    left = deque(memoryview(piece) for piece in pieces)
    try:
        while left:
            written = os.writev(file.fileno(), list(islice(left, PIECES_MAX)))
            while left and written >= len(left[0]):
                written -= len(left.popleft())
            if left:
                left[0] = left[0][written:]
    except OSError:
        file.truncate(size)
        raise
