"""A circuit as JSON and arrays, and the digest over both."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.circuit.circuit import Circuit

FORMAT, VERSION = "heclstm-program", 1


def circuit_of(circuit: Circuit) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """circuit.json, and the arrays that it numbers."""
    arrays: list[NDArray[Any]] = []
    operations = [operation.to_json(arrays) for operation in circuit.operations]
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
