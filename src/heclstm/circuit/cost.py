"""What a circuit costs, read off its operations without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import OPERATIONS
from heclstm.circuit.sizes import ciphertext_bytes, evaluation_key_bytes, evaluation_key_memory

# What a machine's prices are measured for.
UNITS = tuple(unit for kind in OPERATIONS.values() for unit in kind.units)
ROTATIONS = ("rotate", "baby", "giant")  # all key switches but those of products

PROCESS_MEMORY = 300 << 20  # Python, NumPy, the program's own vectors and Go's runtime, as measured


class Prices(Protocol):
    """Seconds of one unit at a level, as measured on a machine."""

    def seconds(self, unit: str, level: int) -> float: ...


@dataclass
class LayerCost:
    """level_in, level_out: before and after the layer. rotations: all key switches but those of products."""

    layer: str
    level_in: int
    level_out: int
    rotations: int = 0
    products: int = 0
    diagonals: int = 0
    rescales: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Estimate:
    """seconds: None without prices. memory: of the server's process, in bytes."""

    layers: list[LayerCost]
    depth: int
    ring_degree: int
    log_qp: float
    rotation_keys: int
    evaluation_key_bytes: int
    query_bytes: int
    result_bytes: int
    key_memory: int
    plaintext_memory: int
    working_memory: int
    seconds: float | None = None
    totals: Mapping[str, int] = field(default_factory=dict)

    @property
    def peak_memory(self) -> int:
        return PROCESS_MEMORY + self.key_memory + self.plaintext_memory + self.working_memory

    def to_json(self) -> dict[str, Any]:
        layers = [dict(vars(layer)) for layer in self.layers]
        return {**vars(self), "layers": layers, "totals": dict(self.totals), "peak_memory": self.peak_memory}


def estimate(circuit: Circuit, prices: Prices | None = None) -> Estimate:
    """Count everything; seconds if `prices` are given."""
    parameters, keys = circuit.parameters, circuit.needed_keys
    levels = keys.levels.values()
    layers = _layers(circuit, prices)
    totals = sum((operation.work() for operation in circuit.operations), Counter())
    return Estimate(
        layers=layers,
        depth=circuit.input_level - circuit.result_level,
        ring_degree=parameters.ring_degree,
        log_qp=parameters.log_qp,
        rotation_keys=len(keys.rotations),
        evaluation_key_bytes=sum(evaluation_key_bytes(parameters, level) for level in levels),
        query_bytes=circuit.input_layout.ciphertexts * ciphertext_bytes(parameters, circuit.input_level, seeded=True),
        result_bytes=ciphertext_bytes(parameters, circuit.result_level, seeded=False),
        key_memory=sum(evaluation_key_memory(parameters, level) for level in levels),
        plaintext_memory=4 * sum(operation.plaintext_words(parameters) for operation in circuit.operations),
        working_memory=_working_memory(circuit),
        seconds=sum(layer.seconds or 0.0 for layer in layers) if prices else None,
        totals=totals,
    )


def _layers(circuit: Circuit, prices: Prices | None) -> list[LayerCost]:
    layers: dict[str, LayerCost] = {}
    for operation in circuit.operations:
        above = operation.level_read
        row = layers.setdefault(operation.layer, LayerCost(operation.layer, above, operation.level))
        row.level_out = min(row.level_out, operation.level)
        units = operation.work()
        row.rotations += _rotations(units)
        row.products += units["product"]
        row.diagonals += units["diagonal"]
        row.rescales += units["rescale"]
        if prices:
            spent = sum(count * prices.seconds(unit, above) for unit, count in units.items())
            row.seconds = (row.seconds or 0.0) + spent
    return list(layers.values())


def _working_memory(circuit: Circuit) -> int:
    """The ciphertexts alive (64-bit words), and what the operation beside them takes, at the worst moment."""
    alive: dict[int, int] = {}
    peak = 0
    for operation, dead in zip(circuit.operations, circuit.last_uses(), strict=True):
        for value in operation.outputs:
            alive[value] = 2 * 8 * circuit.parameters.ring_degree * (operation.level + 1)
        peak = max(peak, operation.working_bytes(circuit.parameters) + sum(alive.values()))
        for value in dead:
            del alive[value]
    return peak


def _rotations(units: Counter[str]) -> int:
    return sum(units[unit] for unit in ROTATIONS)


def rotations_of(circuit: Circuit) -> int:
    """All key switches by rotation: what a change of layouts or plans is judged by."""
    return sum(_rotations(operation.work()) for operation in circuit.operations)
