"""How a prepared program holds its linear transforms: every limb of every vector, or coefficients that are reduced and
transformed at each use. The latter take about a twentieth of the memory; the results are the same, bit by bit.
"""

from __future__ import annotations

from math import inf, log2

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import LinearTransform, Operation
from heclstm.circuit.operations.linear_transform import WORD
from heclstm.circuit.parameters import Parameters

MEMORY = inf  # bytes that a server's process with one tenant keeps to, where it is not told others: the fastest
PROCESS = 70_000_000  # Python, NumPy, Go's runtime, the program but for its vectors, as measured
TABLES = 82  # bytes of twiddles and other tables, of the engine and of Lattigo, for each residue of a limb, as measured
READY = 1500  # bytes of limbs that lie ready between operations, for each residue of a limb: the most that was measured


def process_memory(parameters: Parameters) -> int:
    """Of a process that serves a program, without its plaintexts, keys and working memory."""
    limbs = len(parameters.moduli) + len(parameters.special_moduli)
    return PROCESS + (TABLES * limbs + READY) * parameters.ring_degree


def held_whole(circuit: Circuit, memory: float, beside: int) -> frozenset[int]:
    """The operations, by their place in the circuit, whose vectors are held with every limb: as many as fit.

    memory: of the process, in bytes. beside: what else it takes. The longest vectors come first, since their transforms
    are what takes longest for each byte.
    """
    parameters = circuit.parameters
    rest = memory - beside - sum(held(operation, parameters, whole=False) for operation in circuit.operations)
    transforms = [(place, op) for place, op in enumerate(circuit.operations) if isinstance(op, LinearTransform)]
    whole = set()
    for place, operation in sorted(transforms, key=lambda item: (-item[1].plan.period, item[0])):
        more = held(operation, parameters, whole=True) - held(operation, parameters, whole=False)
        if more <= rest:
            whole.add(place)
            rest -= more
    return frozenset(whole)


def held(operation: Operation, parameters: Parameters, whole: bool) -> int:
    """Bytes of what is prepared for an operation."""
    if isinstance(operation, LinearTransform) and not whole:
        return WORD * len(operation.plan.vectors) * parameters.residues(operation.plan.period)
    return WORD * operation.plaintext_words(parameters)


def encodings(operation: Operation, parameters: Parameters) -> float:
    """As how many vectors of full length those count that are held as coefficients, and transformed at each use."""
    if not isinstance(operation, LinearTransform):
        return 0.0
    size, degree = parameters.residues(operation.plan.period), parameters.ring_degree
    return len(operation.plan.vectors) * size * log2(size) / (degree * log2(degree))
