"""What a circuit costs, read off its operations without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.ir import (
    AddPlain,
    LinearTransform,
    MultiplyPlain,
    Operation,
    Rescale,
    SumOfProducts,
)
from heclstm.circuit.sizes import ciphertext_bytes, evaluation_key_bytes, evaluation_key_memory

# Work units of a circuit. The steps of a linear transform are counted apart, since each has its own price:
#   decomposition  one for each input        baby      a hoisted key switch of an input
#   giant          a turn of a partial sum   diagonal  a product with an encoded vector
#   closing        the final mod-down of an output
UNITS = (
    "input",
    "rotate",
    "product",
    "further_pair",
    "rescale",
    "add",
    "add_plain",
    "multiply_plain",
    "decomposition",
    "baby",
    "giant",
    "diagonal",
    "closing",
)


PROCESS_MEMORY = 300 << 20  # Python, NumPy, the program's own vectors and Go's runtime, as measured


def work(operation: Operation) -> Counter[str]:
    """The units of one operation; drop_level is free. An input is the expansion of its seed and its unpacking."""
    match operation:
        case LinearTransform():
            plan = operation.plan
            return Counter(
                decomposition=plan.n_inputs if any(plan.babies) else 0,
                baby=plan.n_inputs * sum(1 for step in plan.babies if step),
                giant=plan.n_outputs * len(plan.giant_steps),
                diagonal=len(plan.vectors),
                closing=plan.n_outputs,
            )
        case SumOfProducts():
            return Counter(product=1, further_pair=len(operation.pairs) - 1)
        case _:
            name = {
                "Input": "input",
                "Rotate": "rotate",
                "Rescale": "rescale",
                "Add": "add",
                "AddPlain": "add_plain",
                "MultiplyPlain": "multiply_plain",
            }.get(type(operation).__name__)
            return Counter({name: 1}) if name else Counter()


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
    levels = [level for level in (keys.relinearization_level, *keys.rotations.values()) if level is not None]
    layers = _layers(circuit, prices)
    totals = sum((work(operation) for operation in circuit.operations), Counter())
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
        plaintext_memory=_plaintext_memory(circuit),
        working_memory=_working_memory(circuit),
        seconds=sum(layer.seconds or 0.0 for layer in layers) if prices else None,
        totals=totals,
    )


def _layers(circuit: Circuit, prices: Prices | None) -> list[LayerCost]:
    layers: dict[str, LayerCost] = {}
    for operation in circuit.operations:
        above = operation.level + (1 if isinstance(operation, Rescale) else 0)
        row = layers.setdefault(operation.layer, LayerCost(operation.layer, above, operation.level))
        row.level_out = min(row.level_out, operation.level)
        units = work(operation)
        row.rotations += units["rotate"] + units["baby"] + units["giant"]
        row.products += units["product"]
        row.diagonals += units["diagonal"]
        row.rescales += units["rescale"]
        if prices:
            spent = sum(count * prices.seconds(unit, above) for unit, count in units.items())
            row.seconds = (row.seconds or 0.0) + spent
    return list(layers.values())


def _plaintext_memory(circuit: Circuit) -> int:
    """Encoded vectors: one 32-bit word for each value of a period and each limb, special primes for transforms."""
    special, words = len(circuit.parameters.special_moduli), 0
    for operation in circuit.operations:
        match operation:
            case LinearTransform():
                words += operation.plan.vectors.size * (operation.level + 1 + special)
            case MultiplyPlain() | AddPlain():
                words += len(operation.vector) * (operation.level + 1)
    return 4 * words


def _working_memory(circuit: Circuit) -> int:
    """The largest transform's turned inputs (32-bit) and the ciphertexts alive beside it (64-bit)."""
    degree, special = circuit.parameters.ring_degree, len(circuit.parameters.special_moduli)
    alive: dict[int, int] = {}
    peak = 0
    for operation, dead in zip(circuit.operations, circuit.last_uses(), strict=True):
        for value in operation.outputs:
            alive[value] = 2 * 8 * degree * (operation.level + 1)
        own = 0
        if isinstance(operation, LinearTransform):
            plan = operation.plan
            limbs = operation.level + 1 + special
            own = 2 * degree * limbs * (4 * len(plan.babies) * plan.n_inputs + 8 * plan.n_outputs * len(plan.chains))
        peak = max(peak, own + sum(alive.values()))
        for value in dead:
            del alive[value]
    return peak


def rotations_of(circuit: Circuit) -> int:
    """All key switches by rotation: what a change of layouts or plans is judged by."""
    return sum(units["rotate"] + units["baby"] + units["giant"] for units in map(work, circuit.operations))
