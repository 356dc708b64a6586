"""The size that a compressed frame itself claims: decoders allocate by it, not by what the DICOM header says."""

from __future__ import annotations

import struct
from typing import NamedTuple

# JPEG and JPEG-LS markers that start a frame and so tell its size.
STARTS_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
SIZ = b"\xff\x4f\xff\x51"  # JPEG 2000: start of codestream, then its size


class Claim(NamedTuple):
    height: int
    width: int
    samples: int


def claimed_size(frame: bytes) -> Claim | None:
    """None where nothing tells it, or it cannot be read."""
    try:
        if (start := frame.find(SIZ, 0, 4096)) >= 0:
            x, y, left, top = struct.unpack_from(">4I", frame, start + 8)
            (samples,) = struct.unpack_from(">H", frame, start + 40)
            return Claim(y - top, x - left, samples)
        return _jpeg(frame)
    except struct.error:
        return None


def _jpeg(frame: bytes) -> Claim | None:
    place = frame.find(b"\xff\xd8", 0, 64) + 2
    while place >= 2 and place + 4 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:  # fill bytes; markers alone
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", frame, place + 2)
        if marker in STARTS_OF_FRAME:
            height, width, samples = struct.unpack_from(">HHB", frame, place + 5)
            return Claim(height, width, samples)
        place += 2 + max(length, 2)
    return None


def runs_to(frame: bytes, count: int) -> bool:
    """Whether no segment of an RLE frame unpacks to more than `count` bytes (and the one that pads them)."""
    (segments,) = struct.unpack_from("<I", frame)
    if not 1 <= segments <= 15:
        return False
    ends = [*struct.unpack_from(f"<{segments}I", frame, 4), len(frame)]
    return all(
        64 <= start <= end and _unpacked(frame, start, end, count + 1) <= count + 1
        for start, end in zip(ends, ends[1:], strict=False)
    )


def _unpacked(frame: bytes, place: int, end: int, enough: int) -> int:
    """How many bytes a segment unpacks to; counting stops where it is too many."""
    total = 0
    while place < end and total <= enough:
        head = frame[place]
        if head < 128:
            total, place = total + head + 1, place + head + 2
        elif head > 128:
            total, place = total + 257 - head, place + 2
        else:
            place += 1
    return total
