"""Four gates projected into one ciphertext, where a projection of their own would fold each of them apart.

A projection of pooled feature maps folds: log2(P/Q) turns of every output. Side by side in one output of period 4·Q the
gates share these turns, and two of them are not needed at all:

    block      0    1    2    3                        block      0    1    2    3
    z          i    f    g    o          turned by 2 blocks       g    o    i    f

Three turns by a block bring every gate to every block, and masks choose: what is needed in a later step comes down some
levels anyway, and its masks ride on that. The first step has no level to spare. Its i ⊙ g stands in blocks 0 and 2 of
z ⊙ (z turned by 2), in 1 and 3 of the other two turns' product; o, which comes down a level, brings the masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats, Layout, VectorLayout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.compiler.linear import Entries, apply_linear, fold_of

BLOCKS = 4
FOLDS_MIN = 3  # of a gate by itself; with fewer, three turns and a product more cost as much as they save


class Together:
    """The gates' affine maps from `values` in `source`, for gates of one strand. Costs the level of a projection.

    layout: of a gate.
    """

    def __init__(
        self, trace: Trace, values: tuple[int, ...], source: Layout, gates: Sequence[AffineMap], layout: VectorLayout
    ) -> None:
        self.trace, self.frames, self.cells = trace, source.frames, layout.cells
        self.layout = _side_by_side(layout)
        matrix = sparse.vstack([_padded(gate.matrix, self.cells) for gate in gates])
        bias = np.concatenate([np.pad(gate.bias, (0, self.cells - len(gate.bias))) for gate in gates])
        entries = Entries.per_frame(matrix, self.frames)
        target = self.layout, np.tile(bias, (self.frames, 1))
        ((value,),) = apply_linear(trace, [(values, source)], [target], {(0, 0): entries})
        self.turned = [value]
        for _ in range(1, BLOCKS):
            self.turned.append(trace.rotate(self.turned[-1], layout.period))

    @staticmethod
    def pays(source: Layout, layout: VectorLayout) -> bool:
        return len(fold_of(source, layout)) >= FOLDS_MIN and _side_by_side(layout).ciphertexts == 1

    def gate(self, number: int, blocks: Iterable[int] = range(BLOCKS), frame: int | None = None) -> int:
        """One gate in these blocks, in one frame or all; zero elsewhere. One level."""
        plains = [(self.turned[(number - block) % BLOCKS], self.mask([block], frame)) for block in blocks]
        return self.trace.products(plains=plains)

    def opposite(self) -> list[tuple[int, list[int]]]:
        """Gate 0 times gate 2: values, and the blocks where each of them holds this product. One level."""
        pairs = zip(self.turned[:2], self.turned[2:], strict=True)
        return [(self.trace.products(pairs=[pair]), [first, first + 2]) for first, pair in enumerate(pairs)]

    def mask(self, blocks: Iterable[int], frame: int | None = None) -> Floats:
        """(period,)"""
        tensor = np.zeros((self.frames, BLOCKS, self.cells))
        tensor[slice(None) if frame is None else frame, list(blocks)] = 1.0
        return self.layout.pack(tensor.reshape(self.frames, -1))[0, : self.layout.period]


def _side_by_side(layout: VectorLayout) -> VectorLayout:
    return VectorLayout(layout.slots, layout.frames, BLOCKS * layout.cells)


def _padded(matrix: sparse.csr_array, rows: int) -> sparse.csr_array:
    missing = sparse.csr_array((rows - matrix.shape[0], matrix.shape[1]))
    return sparse.csr_array(sparse.vstack([matrix, missing]))
