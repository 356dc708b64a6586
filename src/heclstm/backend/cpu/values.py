"""What the evaluator computes with: handles of native objects that belong to one context."""

from __future__ import annotations

from ctypes import byref, c_double, c_int, create_string_buffer

from heclstm.backend.cpu.library import Handle, call
from heclstm.circuit import sizes
from heclstm.circuit.parameters import Parameters


class Ciphertext(Handle):
    """An encrypted vector. `level` and `scale` never change."""

    def __init__(self, parameters: Parameters, handle: int) -> None:
        super().__init__(handle)
        self._parameters = parameters
        level, scale = c_int(), c_double()
        call("heclstm_describe", handle, byref(level), byref(scale))
        self.level: int = level.value
        self.scale: float = scale.value

    def serialize(self) -> bytes:
        """Raises ScaleError unless the scale is that of the level."""
        size = sizes.ciphertext_bytes(self._parameters, self.level, seeded=False)
        buffer = create_string_buffer(size)
        call("heclstm_write_ciphertext", self.handle, buffer, size)
        return buffer.raw

    def __repr__(self) -> str:
        return f"<Ciphertext level {self.level}{'' if self._id else ', closed'}>"


class _Prepared(Handle):
    def __init__(self, handle: int, memory: int) -> None:
        super().__init__(handle)
        self.bytes_in_memory = memory


class Plaintext(_Prepared):
    """A vector encoded at one level and scale."""

    def __init__(self, handle: int, memory: int, level: int, scale: float) -> None:
        super().__init__(handle, memory)
        self.level = level
        self.scale = scale


class PreparedFile(Handle):
    """A file of encoded vectors, mapped into memory until it and the transforms in it are closed."""


class Transform(_Prepared):
    """A TransformPlan with its vectors encoded."""

    def __init__(self, handle: int, memory: int, n_outputs: int) -> None:
        super().__init__(handle, memory)
        self.n_outputs = n_outputs
