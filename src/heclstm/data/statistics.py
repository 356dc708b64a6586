"""A prepared sequence → a few numbers that tell what kind of images these are, whatever they show. NumPy only.

They look at brightness, grain, likeness of neighbours, colour and place; the border that preparation adds, and frames
that pad a sequence, do not count. White noise, ramps, inverted and constant images, other organs and shuffled slices
are far outside of what training showed in at least one of them (`model.envelope`, docs/results.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.sequence import ImageSequence

Array = NDArray[np.float64]
TINY = 1e-6  # a frame with less contrast is flat: it has no grain, no place and is like no other
STEP = 1 / 64  # so near to 0 or 1 counts as black or white


def statistics(sequence: ImageSequence, preparation: Preparation | None = None) -> Mapping[str, float]:
    """By their names, which say what they measure; a kind of preparation always gives the same names.

    NaN: does not apply to so few frames.
    """
    images = _shown(sequence, preparation)
    found = {**_brightness(images), **_grain(images), **_place(images), **_likeness(images)}
    return found | (_colour(images) if images.shape[1] == 3 else {})


def _shown(sequence: ImageSequence, preparation: Preparation | None) -> Array:
    """(real frames, channels, height, width) without what was added around them."""
    frames = sequence.frames[: sequence.real_frames].astype(np.float64)
    if preparation is None:
        return frames
    _, channels, height, width = preparation.cut
    top, left = (preparation.height - height) // 2, (preparation.width - width) // 2
    return frames[:, :channels, top : top + height, left : left + width]


def _brightness(images: Array) -> dict[str, float]:
    means, spreads = images.mean(axis=(1, 2, 3)), images.std(axis=(1, 2, 3))
    levels = np.bincount(np.rint(images * 255).astype(np.int64).reshape(-1), minlength=256)
    return {
        "mean of the darkest frame": float(means.min()),
        "mean of the brightest frame": float(means.max()),
        "contrast of the flattest frame": float(spreads.min()),
        "contrast of the strongest frame": float(spreads.max()),
        "darkest pixel": float(images.min()),
        "brightest pixel": float(images.max()),
        "share of black": float((images <= STEP).mean()),
        "share of white": float((images >= 1 - STEP).mean()),
        "grey levels": float(np.log2((levels > 0).sum())),
    }


def _grain(images: Array) -> dict[str, float]:
    """Differences between neighbours: 0 in a flat image, 2 in white noise; and how they grow with distance."""
    near, far = _difference(images, 1), _difference(images, 2)
    variance = images.var(axis=(2, 3))
    textured = variance > TINY
    grain = np.where(textured, near / np.where(textured, variance, 1.0), 0.0).max(axis=1)
    growth = np.where(textured, near / np.where(far > TINY, far, 1.0), 0.0).max(axis=1)
    return {
        "grain of the smoothest frame": float(grain.min()),
        "grain of the roughest frame": float(grain.max()),
        "fineness of the roughest frame": float(growth.max()),
    }


def _difference(images: Array, distance: int) -> Array:
    """(T, C): mean squared difference between pixels at this distance, down and right."""
    down = images[:, :, distance:] - images[:, :, :-distance]
    right = images[..., distance:] - images[..., :-distance]
    result: Array = (np.square(down).mean(axis=(2, 3)) + np.square(right).mean(axis=(2, 3))) / 2
    return result


def _place(images: Array) -> dict[str, float]:
    """Where brightness lies: its centre, from −1 to 1, and how far it spreads from there."""
    weight = images.sum(axis=(0, 1))
    total = float(weight.sum())
    if total <= TINY:
        return {"centre, down": 0.0, "centre, right": 0.0, "spread": 0.0}
    down, right = (np.linspace(-1, 1, size) for size in weight.shape)
    rows, columns = weight.sum(axis=1) / total, weight.sum(axis=0) / total
    row, column = float(rows @ down), float(columns @ right)
    spread = float(rows @ (down - row) ** 2 + columns @ (right - column) ** 2)
    return {"centre, down": row, "centre, right": column, "spread": spread**0.5}


def _likeness(images: Array) -> dict[str, float]:
    """Correlation of neighbouring images: of frames, and of slices within and across them."""
    between = [_correlation(first, other) for first, other in zip(images, images[1:], strict=False)]
    found = {"least likeness of neighbouring frames": min(between, default=float("nan"))}
    if images.shape[1] > 3:  # slices of a volume
        slices = images.reshape(-1, *images.shape[2:])
        slices = slices[slices.var(axis=(1, 2)) > TINY]
        near, far = (_mean_likeness(slices, distance) for distance in (1, 2))
        found |= {"likeness of neighbouring slices": near, "likeness lost with distance": near - far}
    return found


def _mean_likeness(slices: Array, distance: int) -> float:
    pairs = list(zip(slices, slices[distance:], strict=False))
    return float(np.mean([_correlation(first, other) for first, other in pairs])) if pairs else 1.0


def _correlation(first: Array, other: Array) -> float:
    first, other = first - first.mean(), other - other.mean()
    size = float(np.sqrt(np.square(first).mean() * np.square(other).mean()))
    return float((first * other).mean()) / size if size > TINY else 1.0


def _colour(images: Array) -> dict[str, float]:
    red, green, blue = images.mean(axis=(0, 2, 3))
    total = max(float(red + green + blue), TINY)
    chroma = float((images.max(axis=1) - images.min(axis=1)).mean())
    return {"share of red": float(red) / total, "share of blue": float(blue) / total, "colourfulness": chroma}
