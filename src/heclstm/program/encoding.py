"""A circuit as JSON and arrays, and the digest over both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def circuit_of(circuit: Circuit) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """circuit.json, and the arrays that it numbers."""
    arrays: list[NDArray[Any]] = []
    operations = [encode_value(operation, arrays) for operation in circuit.operations]
    return {"format": FORMAT, "version": VERSION, "result": circuit.result, "operations": operations}, arrays


def circuit_digest(circuit: dict[str, Any], arrays: list[NDArray[Any]]) -> str:
    """H(circuit): SHA-256 over circuit.json and the arrays, each with its type and shape."""
    digest = hashlib.sha256(json.dumps(circuit, sort_keys=True, allow_nan=False).encode() + b"\n")
    add_arrays(digest, arrays)
    return digest.hexdigest()


def add_arrays(digest: hashlib._Hash, arrays: list[NDArray[Any]]) -> None:
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)


def encode_value(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if is_dataclass(value):
        named = {field.name: encode_value(getattr(value, field.name), arrays) for field in fields(value)}
        return {"operation": type(value).__name__, **named}
    if isinstance(value, tuple | list):
        return [encode_value(item, arrays) for item in value]
    return value


def decode_value(data: Any, arrays: list[NDArray[Any]]) -> Any:
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
