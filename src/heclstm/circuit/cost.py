"""What a circuit costs, read off its operations without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.memory import MEMORY, encodings, held, held_whole, process_memory
from heclstm.circuit.operations import OPERATIONS
from heclstm.circuit.operations.linear_transform import WORD
from heclstm.circuit.sizes import ciphertext_bytes, evaluation_key_bytes, evaluation_key_memory, rotation_table_memory

# What a machine's prices are measured for.
ENCODING = "encoding"  # of a vector that is held as coefficients, at each use
UNITS = (*(unit for kind in OPERATIONS.values() for unit in kind.units), ENCODING)
THREADS = 2  # of a server, where nobody says
ROTATIONS = ("rotate", "baby", "giant")  # all key switches but those of products


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
    """seconds: None without prices. memory: of the server's process, in bytes. held_whole: see `circuit.memory`."""

    layers: list[LayerCost]
    depth: int
    ring_degree: int
    log_qp: float
    rotation_keys: int
    evaluation_key_bytes: int
    query_bytes: int
    result_bytes: int
    process_memory: int
    key_memory: int
    plaintext_memory: int
    table_memory: int
    working_memory: int
    held_whole: frozenset[int] = frozenset()
    seconds: float | None = None
    totals: Mapping[str, int] = field(default_factory=dict)

    @property
    def prepared_memory(self) -> int:
        """What preparing the program takes, once for all tenants."""
        return self.plaintext_memory + self.table_memory

    @property
    def peak_memory(self) -> int:
        return self.process_memory + self.key_memory + self.prepared_memory + self.working_memory

    def to_json(self) -> dict[str, Any]:
        layers = [dict(vars(layer)) for layer in self.layers]
        fields = {name: value for name, value in vars(self).items() if name != "held_whole"}
        return {**fields, "layers": layers, "totals": dict(self.totals), "peak_memory": self.peak_memory}


def estimate(
    circuit: Circuit, prices: Prices | None = None, *, memory: float = MEMORY, threads: int = THREADS
) -> Estimate:
    """Count everything; seconds if `prices` are given, which are of a number of threads. memory: what a server's
    process on so many threads is to keep to, in bytes.
    """
    parameters, keys = circuit.parameters, circuit.needed_keys
    levels = keys.levels.values()
    key_memory = sum(evaluation_key_memory(parameters, level) for level in levels)
    table_memory = len(keys.rotations) * rotation_table_memory(parameters)
    working_memory = _working_memory(circuit, threads)
    process = process_memory(parameters)
    whole = held_whole(circuit, memory, process + key_memory + table_memory + working_memory)
    layers = _layers(circuit, prices, whole)
    plaintexts = [held(operation, parameters, place in whole) for place, operation in enumerate(circuit.operations)]
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
        process_memory=process,
        key_memory=key_memory,
        plaintext_memory=sum(plaintexts),
        table_memory=table_memory,
        working_memory=working_memory,
        held_whole=whole,
        seconds=sum(layer.seconds or 0.0 for layer in layers) if prices else None,
        totals=totals,
    )


def _layers(circuit: Circuit, prices: Prices | None, whole: frozenset[int]) -> list[LayerCost]:
    layers: dict[str, LayerCost] = {}
    for place, operation in enumerate(circuit.operations):
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
            if place not in whole and (count := encodings(operation, circuit.parameters)):
                spent += count * prices.seconds(ENCODING, above)
            row.seconds = (row.seconds or 0.0) + spent
    return list(layers.values())


def _working_memory(circuit: Circuit, threads: int) -> int:
    """The ciphertexts alive, and what the operation beside them takes, at the worst moment. As measured, ciphertexts
    count twice: the engine keeps the limbs of those that ended for the next.
    """
    alive: dict[int, int] = {}
    peak = 0
    for operation, dead in zip(circuit.operations, circuit.last_uses(), strict=True):
        for value in operation.outputs:
            alive[value] = 2 * 2 * WORD * circuit.parameters.ring_degree * (operation.level + 1)
        peak = max(peak, operation.working_bytes(circuit.parameters, threads) + sum(alive.values()))
        for value in dead:
            del alive[value]
    return peak


def _rotations(units: Counter[str]) -> int:
    return sum(units[unit] for unit in ROTATIONS)


def rotations_of(circuit: Circuit) -> int:
    """All key switches by rotation: what a change of layouts or plans is judged by."""
    return sum(_rotations(operation.work()) for operation in circuit.operations)
