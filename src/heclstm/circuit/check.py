"""What every circuit must satisfy, whoever made it: the compiler's last pass and the server's first."""

from __future__ import annotations

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import OPERATIONS, Input, Kept
from heclstm.circuit.parameters import LEVEL_MIN
from heclstm.errors import LayoutError, LevelError, ParameterError


def check(circuit: Circuit) -> Circuit:
    """Return `circuit` if every operation fits its operands, the parameters and the layouts; raise what does not."""
    parameters, slots = circuit.parameters, circuit.parameters.slots
    if {circuit.input_layout.slots, circuit.result_layout.slots} != {slots}:
        raise LayoutError(f"program: its layouts do not have the {slots} slots of its parameters")
    defined: dict[int, Kept] = {}
    for operation in circuit.operations:
        layer, level = operation.layer, operation.level
        if OPERATIONS.get(type(operation).__name__) is not type(operation):
            raise ParameterError(f"{layer}: unknown operation {type(operation).__name__}")
        for value in operation.operands:
            if value not in defined:
                raise ParameterError(f"{layer}: reads value {value} before it is defined")
        if not LEVEL_MIN <= level <= parameters.max_level:
            raise LevelError(f"{layer}: at level {level}, expected {LEVEL_MIN} … {parameters.max_level}")
        operation.check([defined[value] for value in operation.operands], parameters)
        if isinstance(operation, Input) and level != circuit.input_level:
            raise LevelError(f"{layer}: inputs at levels {level} and {circuit.input_level}, expected one")
        for value in operation.outputs:
            if value in defined:
                raise ParameterError(f"{layer}: defines value {value} twice")
            defined[value] = Kept(level, operation.scale)
    if circuit.result not in defined:
        raise ParameterError(f"program: its result, value {circuit.result}, is never defined")
    if len(circuit.inputs) != circuit.input_layout.ciphertexts:
        raise LayoutError(
            f"program: reads {len(circuit.inputs)} ciphertexts, its input layout has {circuit.input_layout.ciphertexts}"
        )
    return circuit
