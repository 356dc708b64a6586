"""A program as JSON and arrays, and the digest over both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.circuit.circuit import Circuit

FORMAT, VERSION = "heclstm-program", 1


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
    operations = [operation.to_json(arrays) for operation in circuit.operations]
    return {"format": FORMAT, "version": VERSION, "result": circuit.result, "operations": operations}, arrays


def digest_of(public: dict[str, Any], circuit: dict[str, Any], arrays: list[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.sha256()
    for part in (public, circuit):
        digest.update(json.dumps(part, sort_keys=True, allow_nan=False).encode() + b"\n")
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
