"""The secret side of the CPU backend: key generation, encryption, decryption. A server never imports this module."""

from __future__ import annotations

from ctypes import c_char, create_string_buffer

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.library import KINDS, Handle, call, new_handle
from heclstm.backend.cpu.values import Ciphertext
from heclstm.circuit import sizes
from heclstm.errors import LevelError, ParameterError


class SecretKey(Handle):
    """A uniform ternary secret.

    Closing it overwrites it where the engine keeps it. Lattigo's pools of buffers hold parts of it, permuted, until
    Go's collector takes them, and so does whatever Python copied: see docs/security.md.
    """

    def __init__(self, context: Context, handle: int) -> None:
        super().__init__(handle)
        self._context = context
        never_dump()

    @classmethod
    def load(cls, context: Context, data: bytes | bytearray) -> SecretKey:
        """data: of `serialize`; a bytearray can be wiped afterwards, bytes cannot."""
        array = np.frombuffer(data, dtype=np.uint8)
        return cls(context, new_handle("heclstm_load_secret", context.handle, array.ctypes.data, array.size))

    def serialize(self) -> bytearray:
        """The only copy in Python's memory: `wipe` it when it is written."""
        data = bytearray(sizes.secret_key_bytes(self._context.parameters))
        buffer = (c_char * len(data)).from_buffer(data)
        call("heclstm_write_secret", self._context.handle, self.handle, buffer, len(data))
        return data


def wipe(data: bytearray) -> None:
    """Overwrite with zeros, in place."""
    data[:] = bytes(len(data))


def never_dump() -> None:
    """From now on no crash writes the memory of this process to a file. Its children inherit that."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    # Linux hands dumps to a program such as systemd-coredump whatever the limit is, but for one of 1 byte.
    resource.setrlimit(resource.RLIMIT_CORE, (0 if hard == 0 else 1, hard))


class KeyGenerator:
    """Evaluation keys come as blobs that only hold public material: a seed and packed limbs."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def secret_key(self) -> SecretKey:
        return SecretKey(self._context, new_handle("heclstm_new_secret", self._context.handle))

    def relinearization_key(self, sk: SecretKey, level: int) -> bytes:
        """For products at levels up to this one."""
        return self._key(sk, KINDS["relinearization"], 0, level)

    def rotation_key(self, sk: SecretKey, step: int, level: int) -> bytes:
        """For rotations by step, modulo slots, at levels up to this one."""
        return self._key(sk, KINDS["rotation"], step, level)

    def _key(self, sk: SecretKey, kind: int, step: int, level: int) -> bytes:
        size = sizes.evaluation_key_bytes(self._context.parameters, level)
        buffer = create_string_buffer(size)
        call("heclstm_write_key", self._context.handle, sk.handle, kind, step, level, buffer, size)
        return buffer.raw


class Encryptor:
    """Secret-key encryption: half of a seeded ciphertext is a seed."""

    def __init__(self, context: Context, sk: SecretKey) -> None:
        self._context = context
        self._sk = sk

    def encrypt(self, values: NDArray[np.float64], *, level: int, seeded: bool = True) -> bytes:
        """Encrypt one period of a vector, at scale parameters.scales[level]."""
        parameters = self._context.parameters
        if not 0 <= level <= parameters.max_level:
            raise LevelError(f"encrypt: got level {level}, expected 0 … {parameters.max_level}")
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 1 or not array.size or parameters.slots % array.size:
            raise ParameterError(
                f"encrypt: got shape {array.shape}, expected one dimension that divides {parameters.slots} slots"
            )
        full = np.tile(array, parameters.slots // array.size)
        size = sizes.ciphertext_bytes(parameters, level, seeded)
        buffer = create_string_buffer(size)
        message = full.ctypes.data, full.size
        call("heclstm_encrypt", self._context.handle, self._sk.handle, *message, level, seeded, buffer, size)
        return buffer.raw


class Decryptor:
    def __init__(self, context: Context, sk: SecretKey) -> None:
        self._context = context
        self._sk = sk

    def decrypt(self, ciphertext: Ciphertext) -> NDArray[np.float64]:
        values = np.zeros(self._context.parameters.slots, dtype=np.float64)
        message = values.ctypes.data, values.size
        call("heclstm_decrypt", self._context.handle, self._sk.handle, ciphertext.handle, *message)
        return values
