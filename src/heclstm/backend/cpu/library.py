"""The shared library of `native/`: loading, signatures, errors, handles. Only the CPU backend imports it."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm import errors
from heclstm.backend.machine import require_room
from heclstm.circuit.noise import SIGMA
from heclstm.circuit.parameters import PRIME_BITS_MAX, SPECIAL_COUNT_MAX
from heclstm.circuit.sizes import HEADER_BYTES, SEED_BYTES

SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
PATH = Path(__file__).with_name("libheclstm" + SUFFIX)
ABI = 8  # of native/abi.go

# Numbers that both sides know; `library` compares them with what the library says.
KINDS = {"secret": 1, "relinearization": 2, "rotation": 3, "seeded": 4, "full": 5}
OPERATIONS = {"add": 0, "subtract": 1, "add_plain": 2, "multiply_plain": 3, "rescale": 4, "drop_level": 5}
CONSTANTS = {
    "header_bytes": HEADER_BYTES,
    "seed_bytes": SEED_BYTES,
    "prime_bits": PRIME_BITS_MAX,
    "special_max": SPECIAL_COUNT_MAX,
    "error_sigma": SIGMA,
    "kinds": KINDS,
    "operations": OPERATIONS,
}

_HANDLE_OUT, _TEXT_OUT = POINTER(c_uint64), POINTER(c_void_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "heclstm_constants": (_TEXT_OUT,),
    "heclstm_share": (c_uint64, _HANDLE_OUT),
    "heclstm_context": (c_char_p, c_size_t, c_int, _HANDLE_OUT),
    "heclstm_set_threads": (c_uint64, c_int),
    "heclstm_rest": (c_uint64,),
    "heclstm_report": (c_uint64, _TEXT_OUT),
    "heclstm_key_set": (c_uint64, _HANDLE_OUT),
    "heclstm_load_key": (c_uint64, c_uint64, c_char_p, c_size_t, c_int64, POINTER(c_int64)),
    "heclstm_save_keys": (c_uint64, c_char_p, c_size_t, c_char_p, c_size_t),
    "heclstm_open_keys": (c_uint64, c_char_p, c_size_t, _HANDLE_OUT),
    "heclstm_rest_keys": (c_uint64,),
    "heclstm_keys_report": (c_uint64, _TEXT_OUT),
    "heclstm_load_ciphertext": (c_uint64, c_char_p, c_size_t, c_int, _HANDLE_OUT),
    "heclstm_describe": (c_uint64, POINTER(c_int), POINTER(c_double)),
    "heclstm_write_ciphertext": (c_uint64, c_void_p, c_size_t),
    "heclstm_plaintext": (c_uint64, c_void_p, c_size_t, c_int, c_double, _HANDLE_OUT, POINTER(c_size_t)),
    "heclstm_transform": (c_uint64, *[c_void_p] * 10, c_double, c_uint64, _HANDLE_OUT, POINTER(c_size_t)),
    "heclstm_save_prepared": (c_uint64, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p, c_size_t),
    "heclstm_prepare_rotations": (c_uint64, c_void_p, c_size_t, POINTER(c_size_t)),
    "heclstm_open_prepared": (c_uint64, c_char_p, c_size_t, c_char_p, c_size_t, _HANDLE_OUT),
    "heclstm_binary": (c_uint64, c_int, c_uint64, c_uint64, _HANDLE_OUT),
    "heclstm_unary": (c_uint64, c_int, c_uint64, c_int64, _HANDLE_OUT),
    "heclstm_rotate": (c_uint64, c_uint64, c_uint64, c_int64, _HANDLE_OUT),
    "heclstm_sum_of_products": (c_uint64, c_uint64, c_void_p, c_void_p, c_size_t, _HANDLE_OUT),
    "heclstm_linear_transform": (c_uint64, c_uint64, c_void_p, c_size_t, c_uint64, c_void_p, c_size_t),
    "heclstm_new_secret": (c_uint64, _HANDLE_OUT),
    "heclstm_load_secret": (c_uint64, c_void_p, c_size_t, _HANDLE_OUT),
    "heclstm_write_secret": (c_uint64, c_uint64, c_void_p, c_size_t),
    "heclstm_write_key": (c_uint64, c_uint64, c_int, c_int64, c_int, c_void_p, c_size_t),
    "heclstm_encrypt": (c_uint64, c_uint64, c_void_p, c_size_t, c_int, c_int, c_void_p, c_size_t),
    "heclstm_decrypt": (c_uint64, c_uint64, c_uint64, c_void_p, c_size_t),
}


# The engine's threads do not follow a fork: a call of the child would wait for them for ever.
_left_behind = False


def _forked() -> None:
    global _left_behind
    _left_behind = library.cache_info().currsize > 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@cache
def library() -> ctypes.CDLL:
    """The library, loaded once. Raises EngineError if it was not built, or from other sources than this package."""
    return load(PATH)


def load(path: Path) -> ctypes.CDLL:
    require_room()
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise errors.EngineError(
            f"the native engine {path.name} cannot be loaded ({error}); install heclstm with `pip install .`, "
            "which builds it"
        ) from error
    found = loaded.heclstm_abi() if hasattr(loaded, "heclstm_abi") else 1
    if found != ABI:
        raise errors.EngineError(
            f"the native engine {path.name} has interface {found}, this release needs {ABI}; rebuild it with "
            "`pip install .`"
        )
    loaded.heclstm_free.argtypes = (c_void_p,)
    loaded.heclstm_free.restype = None
    loaded.heclstm_close.argtypes = (c_uint64,)
    loaded.heclstm_close.restype = None
    for name, arguments in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes = (*arguments, POINTER(c_void_p))
        function.restype = c_int
    constants = _report(loaded, "heclstm_constants")
    if differing := [name for name, value in CONSTANTS.items() if constants.get(name) != value]:
        raise errors.EngineError(
            f"the native engine {path.name} differs from this package in {', '.join(differing)}; rebuild it with "
            "`pip install .`"
        )
    return loaded


def call(name: str, *arguments: Any) -> None:
    """Call the library without the GIL; raise its errors as ours."""
    _call(_usable(), name, *arguments)


def report(name: str, *arguments: Any) -> dict[str, Any]:
    """Call a function whose last result is a JSON text."""
    return _report(_usable(), name, *arguments)


def _usable() -> ctypes.CDLL:
    if _left_behind:
        raise errors.EngineError(
            "the native engine was loaded before this process was forked, and cannot be used in the child; start "
            "processes by multiprocessing.get_context('spawn'), or fork before the first use of heclstm"
        )
    return library()


def _call(loaded: ctypes.CDLL, name: str, *arguments: Any) -> None:
    failed = c_void_p()
    if getattr(loaded, name)(*arguments, byref(failed)) == 0:
        return
    kind, _, text = _take(loaded, failed).partition("\x1f")
    raise getattr(errors, kind, errors.EngineError)(text)


def _report(loaded: ctypes.CDLL, name: str, *arguments: Any) -> dict[str, Any]:
    text = c_void_p()
    _call(loaded, name, *arguments, byref(text))
    answer: dict[str, Any] = json.loads(_take(loaded, text))
    return answer


def _take(loaded: ctypes.CDLL, pointer: c_void_p) -> str:
    """Copy a text that the library allocated, and free it."""
    try:
        return ctypes.string_at(pointer.value or 0).decode() if pointer else ""
    finally:
        loaded.heclstm_free(pointer)


class Handle:
    """A native object. Closing frees its memory at once, or when the last call that uses it ends; using it
    afterwards raises HandleError.
    """

    _id = 0

    def __init__(self, handle: int) -> None:
        self._id = handle

    @property
    def handle(self) -> int:
        if not self._id:
            raise errors.HandleError(f"{type(self).__name__}: it is closed; use it before closing")
        return self._id

    def close(self) -> None:
        handle, self._id = self._id, 0
        if handle and not _left_behind:  # of a fork's parent: that has its own
            library().heclstm_close(handle)

    def become(self, other: Handle) -> None:
        """Take the other's object in place of this one's, which is closed; the other is left closed."""
        new, other._id = other.handle, 0
        self.close()
        self._id = new

    def __del__(self) -> None:
        # At interpreter exit the module may be gone already; the process frees the memory then.
        if self._id and library is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{'' if self._id else ', closed'}>"


def new_handle(name: str, *arguments: Any) -> int:
    """Call a function whose last result is a new handle."""
    handle = c_uint64()
    call(name, *arguments, byref(handle))
    return handle.value


def handle_array(items: Sequence[Handle]) -> NDArray[np.uint64]:
    return np.array([item.handle for item in items], dtype=np.uint64)
