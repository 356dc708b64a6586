"""Backends by name. Each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from heclstm.backend.base import Backend
from heclstm.errors import ParameterError

BACKENDS = {
    "clear": "heclstm.backend.clear:ClearBackend",
    "simulate": "heclstm.backend.simulate:SimulatedBackend",
    "cpu": "heclstm.backend.cpu.backend:CpuBackend",
}


def backend(name: str, **options: Any) -> Backend:
    """The backend of that name; options are its own. Raises ParameterError."""
    if name not in BACKENDS:
        raise ParameterError(f"backend: got {name!r}, expected one of {', '.join(BACKENDS)}")
    module, _, kind = BACKENDS[name].partition(":")
    made: Backend = getattr(import_module(module), kind)(**options)
    return made
