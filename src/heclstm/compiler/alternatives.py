"""What fits where a model does not: the longest sequence, shallower cells, a ring that is not prescribed. By trying."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.cost import estimate
from heclstm.circuit.parameters import choose
from heclstm.compiler.compile import RING_DEGREE, Options, compile_circuit, levels_of
from heclstm.errors import HeclstmError, ParameterError
from heclstm.model.cells.base import Cell
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.config import ModelConfig
from heclstm.model.untrained import untrained

MOST = 512  # frames
SHORT = (2, 4)  # frames from whose levels those of others follow: a cell takes as many for each frame


def alternatives(config: ModelConfig, options: Options) -> list[str]:
    """Each with what it costs, nearest first; what does not fit either is left out."""
    found = [*_rings(config, options), *_shorter(config, options)]
    cells: dict[str, Cell] = config.cell.shallower()
    if not isinstance(config.cell, DiagonalConfig):
        cells['kind = "diagonal"'] = DiagonalConfig(config.cell.hidden_size)
    for setting, cell in cells.items():
        changed = _changed(config, cell=cell)
        if changed and (circuit := _fitting(changed, replace(options, ring_degree=None))):
            found.append(f"with {setting} in [model.cell] it fits: {_cost(circuit)}")
    return found


def _rings(config: ModelConfig, options: Options) -> Iterator[str]:
    """The ring that compile itself would take."""
    if options.ring_degree and (circuit := _fitting(config, replace(options, ring_degree=None))):
        yield f"without a ring degree of its own it fits: {_cost(circuit)}"


def _shorter(config: ModelConfig, options: Options) -> Iterator[str]:
    if (found := longest(config, options)) is not None and found.frames < config.frames:
        yield f"{found} fit"


@dataclass(frozen=True)
class Longest:
    """The most frames that some ring has the levels for, and what they take."""

    frames: int
    depth: int
    ring_degree: int

    def __str__(self) -> str:
        return f"{self.frames} frames ({self.depth} levels, N = 2^{self.ring_degree.bit_length() - 1})"


def longest(config: ModelConfig, options: Options) -> Longest | None:
    """None where the frames take no levels. Levels are counted, not compiled, for that takes minutes."""
    first, second = SHORT
    shorts = [_changed(config, frames=count) for count in SHORT]
    levels = [levels_of(untrained(short), options) for short in shorts if short]
    if len(levels) < 2 or levels[0] == levels[1]:
        return None
    each, frames, found = (levels[1] - levels[0]) / (second - first), 0, None
    while frames < MOST:
        frames += 1
        depth = round(levels[0] + each * (frames - first))
        try:
            ring = choose(
                max(depth, 1),
                slots_min=1,
                scale_bits=options.scale_bits,
                ring=options.ring,
                ring_degree=options.ring_degree or (None if options.security == "128" else RING_DEGREE),
                special_count=options.special_count,
                security=options.security,
            )
        except ParameterError:
            break
        found = Longest(frames, depth, ring.ring_degree)
    return found


def _changed(config: ModelConfig, **fields: object) -> ModelConfig | None:
    try:
        return replace(config, **fields)  # type: ignore[arg-type]
    except HeclstmError:  # a model that cannot be
        return None


def _fitting(config: ModelConfig, options: Options) -> Circuit | None:
    try:
        return compile_circuit(untrained(config), options)
    except HeclstmError:
        return None


def _cost(circuit: Circuit) -> str:
    costs = estimate(circuit)
    keys, degree = costs.evaluation_key_bytes / 1e6, costs.ring_degree.bit_length() - 1
    return f"{costs.depth} levels, N = 2^{degree}, {keys:.0f} MB of keys"
