"""Backends by name. Each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heclstm.backend.base import Backend
from heclstm.errors import ParameterError


def _clear(**options: Any) -> Backend:
    from heclstm.backend.clear import ClearBackend

    return ClearBackend(**options)


def _simulate(**options: Any) -> Backend:
    from heclstm.backend.simulate import SimulatedBackend

    return SimulatedBackend(**options)


def _cpu(**options: Any) -> Backend:
    from heclstm.backend.cpu.backend import CpuBackend

    return CpuBackend(**options)


BACKENDS: dict[str, Callable[..., Backend]] = {"clear": _clear, "simulate": _simulate, "cpu": _cpu}


def backend(name: str, **options: Any) -> Backend:
    """The backend of that name; options are its own. Raises ParameterError."""
    if name not in BACKENDS:
        raise ParameterError(f"backend: got {name!r}, expected one of {', '.join(BACKENDS)}")
    return BACKENDS[name](**options)
