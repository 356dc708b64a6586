"""Kinds of recurrent cells by name. A new one is a folder here.

contracting  a gate that follows the state and stays in [0, 1] for every input, so that nothing can run away
diagonal     weighted means of the frames, by constants: no product with the state, any number of frames
gru          HE-GRU: gates r, z, n; a level less
lstm         HE-LSTM: gates i, f, g, o
mean         the plain mean of the frames, where their order means nothing
"""

from collections.abc import Mapping
from typing import Any

from heclstm.errors import ModelError
from heclstm.model.cells.base import Cell
from heclstm.model.fields import build
from heclstm.model.registry import kinds

CELLS: dict[str, type[Cell]] = kinds(__name__, __path__, Cell)


def cell_from_json(values: Any) -> Cell:
    """A cell's table in a model or training file. Raises ModelError with the known kinds."""
    if not isinstance(values, Mapping):
        raise ModelError(f"cell: got {type(values).__name__}, expected a table with a kind, one of {', '.join(CELLS)}")
    if (kind := values.get("kind")) not in CELLS:
        raise ModelError(f"cell: got kind {kind!r}, expected one of {', '.join(CELLS)}")
    return build(CELLS[kind], {name: value for name, value in values.items() if name != "kind"})
