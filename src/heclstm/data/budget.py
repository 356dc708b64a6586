"""What one sequence may take of a hospital's memory, known from headers before anything is decoded.

The numbers are far above what is sent: a mammogram has 2^25 pixels, an hour of CT a few thousand slices. Files that
claim more are damaged or hostile, and are refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from heclstm.errors import FileFormatError

FILE_BYTES_MAX = 1 << 30  # of a file as it is stored
ARCHIVE_BYTES_MAX = 512 << 20  # of a zip when it is unpacked, in memory
FILES_MAX = 20_000  # in one folder, archive or list
FOLDERS_DEEP_MAX = 16
FRAME_PIXELS_MAX = 1 << 26  # rows · columns
FRAMES_MAX = 1 << 14
SEQUENCE_BYTES_MAX = 768 << 20  # of all decoded frames; twice that is the peak, below 2 GB


@dataclass
class Budget:
    """left: bytes that the rest of a sequence may still decode to. frames: images that it may still hold."""

    left: int = SEQUENCE_BYTES_MAX
    frames: int = FRAMES_MAX

    def take(self, name: str, height: int, width: int, samples: int, *, frames: int = 1, sample_bytes: int = 1) -> None:
        """Count what a header promises. Raises FileFormatError where it is more than a sequence may take."""
        if min(height, width, samples, frames) < 1:
            raise FileFormatError(f"{name}: no image: its header says that it is empty")
        if height * width > FRAME_PIXELS_MAX:
            raise FileFormatError(
                f"{name}: no image: got {height}×{width} pixels, expected at most {FRAME_PIXELS_MAX}; make it smaller"
            )
        if frames > self.frames:
            raise FileFormatError(f"{name}: got more than {FRAMES_MAX} frames in one sequence; choose some of them")
        size = height * width * samples * sample_bytes * frames
        if size > self.left:
            raise FileFormatError(
                f"{name}: the sequence takes more than {SEQUENCE_BYTES_MAX} bytes when it is decoded; "
                "choose fewer frames, or make them smaller"
            )
        self.left -= size
        self.frames -= frames
