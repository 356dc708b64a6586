"""What every circuit must satisfy, whoever made it: the compiler's last pass and the server's first."""

from __future__ import annotations

import math

import numpy as np

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.ir import (
    Add,
    AddPlain,
    DropLevel,
    Floats,
    Input,
    LinearTransform,
    MultiplyPlain,
    Operation,
    Rescale,
    Rotate,
    SumOfProducts,
    operands,
)
from heclstm.circuit.parameters import LEVEL_MIN
from heclstm.errors import LayoutError, LevelError, ParameterError, ScaleError

SCALE_TOLERANCE = 2.0**-40  # scales are float64 products of a few factors: 2^-52 each


def check(circuit: Circuit) -> Circuit:
    """Return `circuit` if every level, scale, plan and vector fits its operands; raise what does not."""
    slots = circuit.parameters.slots
    if {circuit.input_layout.slots, circuit.result_layout.slots} != {slots}:
        raise LayoutError(f"program: its layouts do not have the {slots} slots of its parameters")
    defined: dict[int, tuple[int, float]] = {}
    inputs = 0
    for operation in circuit.operations:
        for value in operands(operation):
            if value not in defined:
                raise ParameterError(f"{operation.layer}: reads value {value} before it is defined")
        if not LEVEL_MIN <= operation.level <= circuit.parameters.max_level:
            raise LevelError(
                f"{operation.layer}: at level {operation.level}, expected {LEVEL_MIN} … {circuit.parameters.max_level}"
            )
        _check_operation(operation, [defined[value] for value in operands(operation)], circuit)
        inputs += isinstance(operation, Input)
        if len(operation.outputs) != 1 and not isinstance(operation, LinearTransform):
            raise LayoutError(
                f"{operation.layer}: {type(operation).__name__} has {len(operation.outputs)} outputs, not 1"
            )
        for value in operation.outputs:
            if value in defined:
                raise ParameterError(f"{operation.layer}: defines value {value} twice")
            defined[value] = operation.level, operation.scale
    if circuit.result not in defined:
        raise ParameterError(f"program: its result, value {circuit.result}, is never defined")
    if inputs != circuit.input_layout.ciphertexts:
        raise LayoutError(
            f"program: reads {inputs} ciphertexts, its input layout has {circuit.input_layout.ciphertexts}"
        )
    return circuit


def _check_operation(operation: Operation, read: list[tuple[int, float]], circuit: Circuit) -> None:
    level, slots = operation.level, circuit.parameters.slots
    above = 1 if isinstance(operation, Rescale) else 0
    for own, _ in read:
        if own != level + above and not (isinstance(operation, DropLevel) and own > level):
            raise LevelError(f"{operation.layer}: {type(operation).__name__} reads level {own} for level {level}")
    scales = [scale for _, scale in read]
    match operation:
        case Input():
            expected = [circuit.parameters.scales[level]]
            if level != circuit.input_level:
                raise LevelError(f"{operation.layer}: inputs at levels {level} and {circuit.input_level}, expected one")
        case SumOfProducts():
            expected = [a * b for a, b in zip(scales[::2], scales[1::2], strict=True)]
            if not expected:
                raise LayoutError(f"{operation.layer}: a sum of no products")
        case MultiplyPlain():
            expected = [scales[0] * operation.plaintext_scale]
            _check_vector(operation.layer, operation.vector, slots)
        case AddPlain():
            expected = scales
            _check_vector(operation.layer, operation.vector, slots)
        case Rescale():
            expected = [scales[0] / circuit.parameters.moduli[level + 1]]
        case LinearTransform():
            plan = operation.plan
            _check_plan(operation, slots)
            expected = [a * b for a, b in zip(scales, plan.plaintext_scales, strict=True)] + [plan.output_scale]
        case Add() | Rotate() | DropLevel():
            expected = scales
        case _:
            raise ParameterError(f"{operation.layer}: unknown operation {type(operation).__name__}")
    for scale in expected:
        if not 0 < scale < math.inf or not math.isclose(scale, operation.scale, rel_tol=SCALE_TOLERANCE):
            raise ScaleError(
                f"{operation.layer}: {type(operation).__name__} has scale {_bits(operation.scale)}, "
                f"its operands give {_bits(scale)}"
            )


def _bits(scale: float) -> str:
    return f"2^{math.log2(scale):.6f}" if 0 < scale < math.inf else str(scale)


def _check_plan(operation: LinearTransform, slots: int) -> None:
    plan, layer = operation.plan, operation.layer
    if (
        not plan.chains
        or not all(plan.chains)
        or not plan.babies
        or len(plan.plaintext_scales) != len(operation.inputs)
    ):
        raise LayoutError(f"{layer}: its plan lacks a chain, a baby step or an input's scale")
    _check_vector(layer, plan.vectors[:1].ravel() if len(plan.vectors) else np.zeros(plan.period), slots)
    if not np.isfinite(plan.vectors).all():
        raise LayoutError(f"{layer}: its vectors are not all finite")
    shape = (plan.n_outputs, len(plan.chains), max(map(len, plan.chains)), len(plan.babies), plan.n_inputs)
    index = plan.index
    if plan.n_inputs != len(operation.inputs) or plan.n_outputs != len(operation.outputs):
        raise LayoutError(f"{layer}: its plan has {plan.n_inputs} inputs and {plan.n_outputs} outputs, not its own")
    if index.shape != (len(plan.vectors), 5) or (index < 0).any() or (index >= shape).any():
        raise LayoutError(f"{layer}: the plan's index does not fit its steps {shape}")
    if any(position >= len(plan.chains[chain]) for _, chain, position, _, _ in index.tolist()):
        raise LayoutError(f"{layer}: the plan's index points behind the end of a chain")
    if plan.level != operation.level:
        raise LevelError(f"{layer}: its plan is for level {plan.level}, the operation at {operation.level}")


def _check_vector(layer: str, vector: Floats, slots: int) -> None:
    length = len(vector)
    if not np.isfinite(vector).all():
        raise LayoutError(f"{layer}: its vector is not finite everywhere")
    if length < 1 or slots % length:
        raise LayoutError(f"{layer}: a vector of {length} values does not repeat in {slots} slots")
