"""What has come of a body, in as few pieces as a disk or a parser wants: a chunk of HTTP may be one byte."""

from __future__ import annotations

SMALL_BYTES = 4096  # pieces below this grow together: to copy them is cheaper than to keep each by itself


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
