"""Several trained networks of one shape, side by side as one model: their mean score at one evaluation.

Channels and units stand side by side, and what leads from one network to another is zero, so the compiler writes one
circuit of the same depth. Every member keeps its own weighted unit and vote:

    score = (score of member 1 + … + score of member K) / K

All see the same frames. What a layer has only one of, as the polynomials that all units of a gate share, has to be the
same in all members; training leaves it as it starts (`shared`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heclstm.errors import ModelError
from heclstm.model.config import ModelConfig
from heclstm.model.graph import Array, Shape
from heclstm.model.vote.node import votes
from heclstm.model.weights import Model, expected_shapes

VOTE = "vote.weight"


def joined(members: Sequence[Model]) -> Model:
    """Without metadata, which is for the whole to have. Raises ModelError if shapes differ, or what has to agree."""
    first, count = members[0].config, len(members)
    if count == 1:
        return Model(first, members[0].arrays)
    if any(member.config != first for member in members):
        raise ModelError("ensemble: got networks of different shapes, expected one")
    config = first.side_by_side(count)
    arrays: dict[str, Array] = {}
    for name, shape in expected_shapes(config).items():
        each = [member.arrays[name] for member in members]
        if name == VOTE:
            arrays[name] = np.concatenate([votes(member.arrays) for member in members], axis=1) / count
        else:
            arrays[name] = _side_by_side(name, each, shape, _groups(first, name))
    return Model(config, arrays)


def shared(config: ModelConfig) -> set[str]:
    """The arrays of its cell that an ensemble has once for all members."""
    one, two = (expected_shapes(each) for each in (config, config.side_by_side(2)))
    return {name for name, shape in one.items() if two[name] == shape and name.startswith(f"{config.cell.kind}.")}


def _groups(config: ModelConfig, name: str) -> int:
    """How many times the units of a layer follow each other in the rows of an array: those of a cell's projections."""
    rows = expected_shapes(config)[name][0]
    cell = config.cell
    projected = name.startswith(f"{cell.kind}.") and rows == cell.projections * cell.hidden_size
    return cell.projections if projected else 1


def _side_by_side(name: str, each: Sequence[Array], shape: Shape, groups: int) -> Array:
    """shape: of the result. What grows in rows only is stacked; what grows in rows and columns stands on a diagonal."""
    before = each[0].shape
    if before == shape:
        if any(not np.array_equal(array, each[0]) for array in each):
            raise ModelError(f"ensemble: {name} differs between networks, but all share it; train them as an ensemble")
        return each[0]
    rows, count = before[0] // groups, len(each)
    wide = len(before) > 1 and shape[1] != before[1]
    found = np.zeros((groups, count, rows, *shape[1:]))
    for k, array in enumerate(each):
        columns = slice(k * before[1], (k + 1) * before[1]) if wide else slice(None)
        place = found[:, k, :, columns] if len(before) > 1 else found[:, k]
        place[...] = array.reshape(groups, rows, *before[1:])
    return found.reshape(shape)
