"""PNG and JPEG → arrays, and other sizes: the one place that knows Pillow.

Pillow and not MONAI's transforms: the hospital's client runs this too, and must not need PyTorch for it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from heclstm.card.preparation import Resize
from heclstm.data.budget import Budget
from heclstm.data.quiet import quiet
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError, SequenceError

# What Pillow raises on files that are damaged, foreign, or far too large.
UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError,
    struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
DEEP_USED = 64  # of 256: sixteen bits that stay so low fill at most fourteen, whose highest value is rounded up to it
SIGNATURE = b"\x89PNG\r\n\x1a\n"
BLOCK_BYTES = 1 << 20
GREY_ALPHA = 4  # colour type of a PNG
ORIENTATION = 0x0112  # tag of EXIF


def read_pictures(sources: Sequence[Source], budget: Budget) -> list[NDArray[np.uint8]]:
    """Pictures of one sequence, in the order that they are given in, each as `read_picture` says.

    Raises SequenceError where 16-bit pictures all stay in the lowest quarter of their range: they may hold 10, 12
    or 14 bits, and which greys are meant is not in the file.
    """
    for source in sources:
        with quiet(), _opened(source, budget):
            pass  # all headers are counted before the first picture is decoded
    frames = [read_picture(source) for source in sources]
    deep = [frame for source, frame in zip(sources, frames, strict=True) if _depth(source)[0] == 16]
    if deep and max(int(frame.max()) for frame in deep) <= DEEP_USED:
        raise SequenceError(
            f"{sources[0]}: 16-bit pictures that use only the lowest quarter of their range: they may hold 10, 12 or "
            "14 bits; scale them to all 16 bits, or to 8 with the window that is wanted"
        )
    return frames


def read_picture(source: Path | Source) -> NDArray[np.uint8]:
    """One picture as (1, height, width) when it is grey, else (3, height, width), upright as its camera says.

    16 bits are read over their whole range: nothing guesses a window. What an alpha channel makes transparent
    becomes black. Several pictures in one PNG are refused; of a stereo JPEG the first is read, the others are
    previews. Raises FileFormatError.
    """
    source = source if isinstance(source, Source) else Source(source)
    try:
        with quiet(), _opened(source, Budget()) as opened:
            if opened.format == "PNG" and (count := getattr(opened, "n_frames", 1)) > 1:
                raise FileFormatError(f"{source}: no image: holds {count} pictures, expected one; save each as a file")
            _require_whole(source)
            _require_orientation(source, opened)
            channels = _channels(_plain(ImageOps.exif_transpose(opened)))
            kind = _depth(source)[1]
            return channels[:1] if kind == GREY_ALPHA else channels
    except UNREADABLE as error:
        raise _unreadable(source) from error


@contextmanager
def _opened(source: Source, budget: Budget) -> Iterator[Image.Image]:
    """Its header is read, and counted; its pixels are not."""
    with source.open() as stream:
        try:
            opened = Image.open(stream, formats=("PNG", "JPEG"))
        except UNREADABLE as error:
            raise _unreadable(source) from error
        budget.take(str(source), opened.height, opened.width, len(opened.getbands()))
        yield opened


def _unreadable(source: Source) -> FileFormatError:
    return FileFormatError(f"{source}: no image: not readable as PNG or JPEG")


def _require_whole(source: Source) -> None:
    """Raise FileFormatError for a PNG that was altered or cut off: each of its pieces has a checksum, and Pillow does
    not look at those of the pixels. A JPEG has none.
    """
    with source.open() as stream:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            return
        kind = b""
        while kind != b"IEND":
            head = stream.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            check = zlib.crc32(kind)
            while length and (block := stream.read(min(length, BLOCK_BYTES))):
                check, length = zlib.crc32(block, check), length - len(block)
            if len(head) < 8 or length or stream.read(4) != check.to_bytes(4, "big"):
                raise FileFormatError(
                    f"{source}: no image: not readable as PNG or JPEG: altered or cut off on its way; copy it again"
                )


def _require_orientation(source: Source, opened: Image.Image) -> None:
    """Raise FileFormatError where the camera said which way is up, and damage keeps it from being read."""
    exif = opened.info.get("exif", b"").removeprefix(b"Exif\0\0")
    if not exif or ORIENTATION in opened.getexif():
        return
    order = ">" if exif[:2] == b"MM" else "<"
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        tags = [struct.unpack_from(f"{order}H", exif, start + 2 + 12 * row)[0] for row in range(count)]
    except struct.error:
        tags = [ORIENTATION]  # perhaps
    if ORIENTATION in tags:
        raise FileFormatError(f"{source}: no image: its EXIF data are damaged, and may have told which way is up")


def _depth(source: Source) -> tuple[int, int]:
    """Bits of a sample and colour type, from the header of a PNG; of a JPEG (8, -1)."""
    head = source.head()
    return (head[24], head[25]) if head.startswith(b"\x89PNG") and len(head) > 25 else (8, -1)


def _plain(picture: Image.Image) -> NDArray[Any]:
    """(height, width) or (height, width, 3)."""
    if picture.mode.startswith("I"):  # 16 bits of grey; some versions of Pillow hand them over in 32
        deep = np.asarray(picture).astype(np.float32)
        deep[deep == picture.info.get("transparency", -1)] = 0
        return np.rint(deep / 257).astype(np.uint8)
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        grey = picture.mode in ("LA", "La", "L", "1")
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
        return np.asarray(picture.convert("L" if grey else "RGB"))
    return np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))


def _channels(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Channels first."""
    moved = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(moved, np.uint8)


def resized(frame: NDArray[Any], height: int, width: int, how: Resize) -> NDArray[Any]:
    """(C, h, w) of uint8 or floating point → (C, height, width), by averaging (bilinear with antialiasing).

    stretch: whatever the aspect. letterbox: the whole picture with black bars. crop: the largest middle part of
    the wanted aspect.
    """
    rows, columns = frame.shape[1:]
    if (rows, columns) == (height, width):
        return frame
    box, inner = (0.0, 0.0, float(columns), float(rows)), (height, width)
    if how == "crop":
        cut_h, cut_w = min(rows, columns * height / width), min(columns, rows * width / height)
        top, left = (rows - cut_h) / 2, (columns - cut_w) / 2
        box = (left, top, left + cut_w, top + cut_h)
    elif how == "letterbox":
        scale = min(height / rows, width / columns)
        inner = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    kind = np.uint8 if frame.dtype == np.uint8 else np.float32
    result = np.zeros((len(frame), height, width), kind)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    for channel, target in zip(frame.astype(kind), result, strict=True):
        picture = Image.fromarray(channel).resize(inner[::-1], Image.Resampling.BILINEAR, box=box)
        # rounding may not carry floating-point values out of their range
        averaged = np.clip(np.asarray(picture), channel.min(), channel.max())
        target[top : top + inner[0], left : left + inner[1]] = averaged
    return result
