"""A model's graph → the stages that are lowered: adjacent affine maps multiplied together.

A stage is an affine map (a convolution with the pooling before it multiplied in) and the polynomial that follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heclstm.circuit.layout import Floats
from heclstm.compiler.affine import AffineMap, SequenceMap, Shape
from heclstm.errors import ModelError
from heclstm.model.graph import Affine, OverFrames, Polynomial, Recurrence
from heclstm.model.vote.node import Vote
from heclstm.model.weights import Model


@dataclass(frozen=True, eq=False)
class Stage:
    """An affine map and the polynomial after it; coefficients: (F, degree + 1), ascending powers."""

    name: str
    affine: AffineMap | SequenceMap
    coefficients: Floats


@dataclass(frozen=True, eq=False)
class Fused:
    """stages: the frame encoder. features: from the last stage's output to the features that cell and vote read."""

    model: Model
    input_shape: Shape
    stages: tuple[Stage, ...]
    features: AffineMap
    cell: Recurrence
    vote: Vote

    @property
    def frames(self) -> int:
        return self.model.config.frames


def fuse(model: Model) -> Fused:
    """Raises ModelError if something in the model is no polynomial, or stands in an order that is not lowered."""
    config, arrays = model.config, model.arrays
    stages: list[Stage] = []
    pending: AffineMap | SequenceMap | None = None  # what the next node takes in
    *encoder, cell, vote = config.graph.nodes
    for node in config.graph.nodes:
        if node.exact is not None:
            raise ModelError(f"{node.name}: {node.exact}")
    for node in encoder:
        if isinstance(node, Affine | OverFrames):
            own = node.affine_map(arrays) if isinstance(node, Affine) else node.sequence_map(arrays, config.frames)
            pending = own if pending is None else own.after(pending)
        elif isinstance(node, Polynomial) and pending is not None:
            positions = pending.shape[1] * pending.shape[2]
            stages.append(Stage(node.name, pending, np.repeat(arrays[node.coefficients], positions, axis=0)))
            pending = None
        else:
            raise ModelError(f"{node.name}: got a {type(node).__name__} here, expected an affine map before it")
    if not isinstance(pending, AffineMap) or not isinstance(cell, Recurrence) or not isinstance(vote, Vote):
        raise ModelError("model: got a graph that does not end with an affine map, a cell and a vote")
    return Fused(model, (config.channels, config.height, config.width), tuple(stages), pending, cell, vote)
