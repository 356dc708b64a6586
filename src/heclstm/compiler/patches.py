"""What the client may do for the first layer: pack its pixels where that layer needs them.

The pixels that a convolution reads at one position can stand in one column of channels (`circuit.layout.Patches`):

- all taps: the convolution becomes a map between channels. No turn by a row or a column remains, nor its key.
- space to depth: a stride s makes s² channels of the image, so that the output stands dense. Taps beyond are turns.

Both cost slots, not levels; they are taken only if a query gets no larger.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import ImageLayout, Ints, Patches, power_of_two
from heclstm.compiler.affine import AffineMap


def patched(layout: ImageLayout, affine: AffineMap) -> Iterator[ImageLayout]:
    """Other ways to pack the images of `layout` for the layer that reads them, in no more ciphertexts."""
    _, height, width = affine.shape
    strides = max(1, round(layout.height / height)), max(1, round(layout.width / width))
    (low_y, high_y), (low_x, high_x) = (_reach(part) for part in _shifts(affine, layout, *strides))
    for patches in (
        Patches(height, width, *strides, low_y, low_x, high_y - low_y + 1, high_x - low_x + 1),
        Patches(height, width, *strides, 0, 0, *strides),
    ):
        groups = power_of_two(layout.channels * patches.taps)
        rows, columns = power_of_two(height), power_of_two(width)
        if groups * rows * columns * layout.frame_slots > max(layout.period, layout.slots) or patches.taps == 1:
            continue
        size = (layout.channels, layout.height, layout.width)
        found = ImageLayout(layout.slots, layout.frames, *size, rows, columns, patches=patches)
        if reading(affine, found) is not None:
            yield found


def reading(affine: AffineMap, layout: ImageLayout) -> AffineMap | None:
    """The map of what `layout` packs instead of images; None if it lacks a pixel that the map reads."""
    patches = layout.patches
    if patches is None:
        return affine
    coo = affine.matrix.tocoo()
    _, y, x = np.unravel_index(coo.row, affine.shape)
    channel = coo.col // (layout.height * layout.width)
    shift_y, shift_x = _shifts(affine, layout, patches.stride_y, patches.stride_x)
    tap_y, y = _tap(shift_y - patches.first_y, y, patches.stride_y, patches.taps_y)
    tap_x, x = _tap(shift_x - patches.first_x, x, patches.stride_x, patches.taps_x)
    if (tap_y >= patches.taps_y).any() or (tap_x >= patches.taps_x).any():
        return None
    if (np.minimum(y, x) < 0).any() or (y >= patches.height).any() or (x >= patches.width).any():
        return None
    column = channel * patches.taps + tap_y * patches.taps_x + tap_x
    column = (column * patches.height + y) * patches.width + x
    shape = (affine.matrix.shape[0], layout.spread.features)
    matrix = sparse.csr_array(sparse.coo_array((coo.data, (coo.row, column)), shape=shape))
    return AffineMap(affine.name, matrix, affine.bias, affine.shape)


def _shifts(affine: AffineMap, layout: ImageLayout, stride_y: int, stride_x: int) -> tuple[Ints, Ints]:
    """By how much each entry reads beside the first pixel of its position."""
    coo = affine.matrix.tocoo()
    _, y_out, x_out = np.unravel_index(coo.row, affine.shape)
    _, y_in, x_in = np.unravel_index(coo.col, (layout.channels, layout.height, layout.width))
    return y_in - y_out * stride_y, x_in - x_out * stride_x


def _reach(shift: Ints) -> tuple[int, int]:
    return int(shift.min(initial=0)), int(shift.max(initial=0))


def _tap(shift: Ints, position: Ints, stride: int, taps: int) -> tuple[Ints, Ints]:
    """Of its own position where that has the tap, else of a neighbour."""
    inside = (shift >= 0) & (shift < taps)
    return np.where(inside, shift, shift % stride), position + np.where(inside, 0, shift // stride)
