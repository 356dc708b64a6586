"""A program as JSON and arrays, and the digest over both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import numpy as np

from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.circuit import ir
from heclstm.circuit.circuit import Circuit
from heclstm.errors import FileFormatError

FORMAT, VERSION = "heclstm-program", 1
OPERATIONS: dict[str, type[ir.Operation]] = {
    kind.__name__: kind
    for kind in (
        ir.Input,
        ir.LinearTransform,
        ir.SumOfProducts,
        ir.MultiplyPlain,
        ir.AddPlain,
        ir.Add,
        ir.Rotate,
        ir.Rescale,
        ir.DropLevel,
    )
}


def public_of(card: ProgramCard) -> dict[str, Any]:
    """program.json without its digest."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "parameters": card.parameters.to_json(),
        "input_layout": card.input_layout.to_json(),
        "result_layout": card.result_layout.to_json(),
        "input_level": card.input_level,
        "result_level": card.result_level,
        "keys": {
            "relinearization_level": card.keys.relinearization_level,
            "rotations": {str(step): level for step, level in card.keys.rotations.items()},
        },
        "purpose": _purpose(card.purpose),
    }


def _purpose(purpose: Purpose) -> dict[str, Any]:
    """Programs from before scores had a temperature do not name it, and keep their digest."""
    known = asdict(purpose)
    return known if purpose.temperature else {name: known[name] for name in known if name != "temperature"}


def circuit_of(circuit: Circuit) -> tuple[dict[str, Any], list[np.ndarray[Any, Any]]]:
    """circuit.json, and the arrays that it numbers."""
    arrays: list[np.ndarray[Any, Any]] = []
    operations = [encode_value(operation, arrays) for operation in circuit.operations]
    return {"format": FORMAT, "version": VERSION, "result": circuit.result, "operations": operations}, arrays


def digest_of(public: dict[str, Any], circuit: dict[str, Any], arrays: list[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.sha256()
    for part in (public, circuit):
        digest.update(json.dumps(part, sort_keys=True, allow_nan=False).encode() + b"\n")
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def encode_value(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if is_dataclass(value):
        named = {field.name: encode_value(getattr(value, field.name), arrays) for field in fields(value)}
        return {"operation": type(value).__name__, **named}
    if isinstance(value, tuple | list):
        return [encode_value(item, arrays) for item in value]
    return value


def decode_value(data: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(data, list):
        return tuple(decode_value(item, arrays) for item in data)
    if not isinstance(data, dict):
        return data
    if "array" in data:
        return arrays[data["array"]]
    name = data["operation"]
    kind: Any = ir.TransformPlan if name == "TransformPlan" else OPERATIONS.get(name)
    if kind is None:
        raise FileFormatError(f"circuit: unknown operation {name!r}, expected one of {sorted(OPERATIONS)}")
    return kind(**{key: decode_value(value, arrays) for key, value in data.items() if key != "operation"})
