"""The contracting cell under encryption: the GRU that it is. U·h takes a level of each step, the mixture another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heclstm.circuit.layout import Layout
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.expressions import Trace
from heclstm.model.cells.gru.lowering import Gru
from heclstm.model.graph import Arrays

if TYPE_CHECKING:
    from heclstm.model.cells.contracting import ContractingConfig


class Contracting(Gru):
    """Writes one contracting layer. arrays: its own; features: the affine map from `source` to s_t."""

    def __init__(
        self, name: str, trace: Trace, config: ContractingConfig, arrays: Arrays, features: AffineMap, source: Layout
    ) -> None:
        same, given = config.as_gru(arrays)
        super().__init__(name, trace, same, given, features, source)
