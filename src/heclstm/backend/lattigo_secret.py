"""The secret side of the engine: key generation, encryption, decryption. A server never imports this module."""

from __future__ import annotations

from ctypes import create_string_buffer

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.lattigo import Ciphertext, Engine
from heclstm.backend.library import RELINEARIZATION, ROTATION, Handle, call, new_handle
from heclstm.circuit import sizes
from heclstm.errors import LevelError, ParameterError


class SecretKey(Handle):
    """A uniform ternary secret. Closing it overwrites it in the engine's memory."""

    def __init__(self, engine: Engine, handle: int) -> None:
        super().__init__(handle)
        self._engine = engine

    @classmethod
    def load(cls, engine: Engine, data: bytes) -> SecretKey:
        return cls(engine, new_handle("heclstm_load_secret", engine.handle, data, len(data)))

    def serialize(self) -> bytes:
        size = sizes.secret_key_bytes(self._engine.parameters)
        buffer = create_string_buffer(size)
        call("heclstm_write_secret", self._engine.handle, self.handle, buffer, size)
        return buffer.raw


class KeyGenerator:
    """Evaluation keys come as blobs that only hold public material: a seed and packed limbs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def secret_key(self) -> SecretKey:
        return SecretKey(self._engine, new_handle("heclstm_new_secret", self._engine.handle))

    def relinearization_key(self, sk: SecretKey, level: int) -> bytes:
        """For products at levels up to this one."""
        return self._key(sk, RELINEARIZATION, 0, level)

    def rotation_key(self, sk: SecretKey, step: int, level: int) -> bytes:
        """For rotations by step, modulo slots, at levels up to this one."""
        return self._key(sk, ROTATION, step, level)

    def _key(self, sk: SecretKey, kind: int, step: int, level: int) -> bytes:
        size = sizes.evaluation_key_bytes(self._engine.parameters, level)
        buffer = create_string_buffer(size)
        call("heclstm_write_key", self._engine.handle, sk.handle, kind, step, level, buffer, size)
        return buffer.raw


class Encryptor:
    """Secret-key encryption: half of a seeded ciphertext is a seed."""

    def __init__(self, engine: Engine, sk: SecretKey) -> None:
        self._engine = engine
        self._sk = sk

    def encrypt(self, values: NDArray[np.float64], *, level: int, seeded: bool = True) -> bytes:
        """Encrypt one period of a vector, at scale parameters.scales[level]."""
        parameters = self._engine.parameters
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
        call("heclstm_encrypt", self._engine.handle, self._sk.handle, *message, level, seeded, buffer, size)
        return buffer.raw


class Decryptor:
    def __init__(self, engine: Engine, sk: SecretKey) -> None:
        self._engine = engine
        self._sk = sk

    def decrypt(self, ciphertext: Ciphertext) -> NDArray[np.float64]:
        values = np.zeros(self._engine.parameters.slots, dtype=np.float64)
        message = values.ctypes.data, values.size
        call("heclstm_decrypt", self._engine.handle, self._sk.handle, ciphertext.handle, *message)
        return values
