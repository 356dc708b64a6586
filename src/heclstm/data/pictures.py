"""PNG and JPEG → arrays, and other sizes: the one place that knows Pillow.

Pillow and not MONAI's transforms: the hospital's client runs this too, and must not need PyTorch for it.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from heclstm.card.preparation import Resize
from heclstm.errors import FileFormatError

PICTURES = (".png", ".jpg", ".jpeg")

# What Pillow raises on files that are damaged, foreign, or far too large.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """One picture as (1, height, width) when it is grey, else (3, height, width), upright as its camera says.

    16-bit grey is read over its whole range (divided by 257): nothing guesses a window. What an alpha channel
    makes transparent becomes black. Raises FileFormatError.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as opened:
            return _channels(_plain(ImageOps.exif_transpose(opened)))
    except FileNotFoundError as error:
        raise FileFormatError(f"{path}: no image: no such file") from error
    except UNREADABLE as error:
        raise FileFormatError(f"{path}: no image: not readable as PNG or JPEG") from error


def _plain(picture: Image.Image) -> NDArray[Any]:
    """(height, width) or (height, width, 3)."""
    if picture.mode.startswith("I"):  # 16 bits of grey; some versions of Pillow hand them over in 32
        return np.rint(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
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
