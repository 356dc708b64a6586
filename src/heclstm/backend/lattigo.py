"""CKKS evaluation with Lattigo: everything a server needs, nothing secret.

Ciphertexts carry level and scale. Operations refuse operands of different levels (LevelError) or scales
(ScaleError); none rescales by itself. The scale of a fresh or serialized ciphertext is that of its level in
`Parameters.scales`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from ctypes import byref, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p, create_string_buffer
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.library import RELINEARIZATION, ROTATION, Handle, call, handle_array, new_handle, take_text
from heclstm.circuit import sizes
from heclstm.circuit.operations import TransformPlan
from heclstm.circuit.parameters import Parameters
from heclstm.errors import LevelError, ParameterError

# Who transforms and extends bases: Lattigo (the reference), or our kernels for one instruction set; "auto" takes the
# best that the processor has. Results are the same.
Arithmetic = Literal["auto", "avx512", "avx2", "portable", "lattigo"]


def arithmetic(backend: str) -> Arithmetic:
    """The arithmetic of a backend as the command line names it; "simd" is "auto". Raises ParameterError."""
    names: dict[str, Arithmetic] = {name: name for name in get_args(Arithmetic)}
    names["simd"] = names.pop("auto")
    if backend not in names:
        raise ParameterError(f"backend: got {backend!r}, expected one of {', '.join(names)}")
    return names[backend]


_ADD, _SUBTRACT, _ADD_PLAIN, _MULTIPLY_PLAIN, _RESCALE, _DROP_LEVEL, _ROTATE = range(7)


class Ciphertext(Handle):
    """An encrypted vector. `level` and `scale` never change."""

    def __init__(self, engine: Engine, handle: int) -> None:
        super().__init__(handle)
        self._engine = engine
        level, scale = c_int(), c_double()
        call("heclstm_describe", handle, byref(level), byref(scale))
        self.level: int = level.value
        self.scale: float = scale.value

    def serialize(self) -> bytes:
        """Raises ScaleError unless the scale is that of the level."""
        size = sizes.ciphertext_bytes(self._engine.parameters, self.level, seeded=False)
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


class Transform(_Prepared):
    """A TransformPlan with its vectors encoded."""

    def __init__(self, handle: int, memory: int, n_outputs: int) -> None:
        super().__init__(handle, memory)
        self.n_outputs = n_outputs


class Engine(Handle):
    """One parameter set, its evaluation keys, and the operations on its ciphertexts.

    Calls from several threads are safe; each uses up to `threads` cores. Results do not depend on their number.
    compact: transforms keep their diagonals as coefficients and transform them at each use: less memory, slower.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        threads: int | None = None,
        arithmetic: Arithmetic = "auto",
        compact: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise ParameterError(f"threads: got {threads}, expected at least 1")
        self.parameters = parameters
        self.compact = compact
        settings = {**parameters.to_json(), "arithmetic": "" if arithmetic == "auto" else arithmetic}
        text = json.dumps(settings).encode()
        super().__init__(new_handle("heclstm_engine", text, len(text), threads or 0))

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_threads(self, count: int) -> None:
        call("heclstm_set_threads", self.handle, count)

    # evaluation keys

    def load_relinearization_key(self, data: bytes) -> None:
        self._load_key(RELINEARIZATION, data)

    def load_rotation_key(self, data: bytes) -> int:
        """Load one key and return its step. A key for the same step is replaced."""
        return self._load_key(ROTATION, data)

    def _load_key(self, kind: int, data: bytes) -> int:
        step = c_int64()
        call("heclstm_load_key", self.handle, kind, data, len(data), byref(step))
        return step.value

    @property
    def loaded_keys(self) -> dict[str, Any]:
        """relinearization_level (None without key), rotations (step → level), bytes_in_memory."""
        report = self._report()
        rotations = {int(step): level for step, level in sorted(report["rotations"].items())}
        return {
            "relinearization_level": report["relinearization_level"],
            "rotations": rotations,
            "bytes_in_memory": report["bytes_in_memory"],
        }

    @property
    def arithmetic(self) -> str:
        """Which of `Arithmetic` computes; never "auto"."""
        return str(self._report()["arithmetic"])

    @property
    def allocated_bytes(self) -> int:
        """Native memory held by all engines of this process: limbs, keys, prepared plaintexts, idle buffers."""
        return int(self._report()["allocated_bytes"])

    def _report(self) -> dict[str, Any]:
        text = c_void_p()
        call("heclstm_report", self.handle, byref(text))
        report: dict[str, Any] = json.loads(take_text(text))
        return report

    # ciphertexts and plaintexts

    def load_ciphertext(self, data: bytes, *, level: int) -> Ciphertext:
        """Parse a ciphertext that must be of this level. Its scale is parameters.scales[level]."""
        self._check_level("load_ciphertext", level)
        return Ciphertext(self, new_handle("heclstm_load_ciphertext", self.handle, data, len(data), level))

    def plaintext(self, values: NDArray[np.float64], level: int, scale: float) -> Plaintext:
        """Encode one period of a vector: a power of two that divides the slots."""
        array = np.ascontiguousarray(values, dtype=np.float64)
        self._check_level("plaintext", level)
        self._check_period("plaintext", array, 1)
        handle, memory = c_uint64(), c_size_t()
        out = byref(handle), byref(memory)
        call("heclstm_plaintext", self.handle, array.ctypes.data, array.size, level, scale, *out)
        return Plaintext(handle.value, memory.value, level, scale)

    def transform(self, plan: TransformPlan) -> Transform:
        """Encode all vectors of a plan, in parallel."""
        index = np.ascontiguousarray(plan.index, dtype=np.int32)
        vectors = np.ascontiguousarray(plan.vectors, dtype=np.float64)
        self._check_level("transform", plan.level)
        self._check_period("transform", vectors, 2)
        if index.shape != (len(vectors), 5) or len(plan.plaintext_scales) != plan.n_inputs:
            raise ParameterError(
                f"transform: got index {index.shape} and {len(plan.plaintext_scales)} plaintext scales, "
                f"expected {(len(vectors), 5)} and {plan.n_inputs}"
            )
        steps = [step for chain in plan.chains for step in chain]
        shape = (plan.level, plan.n_inputs, plan.n_outputs, len(plan.babies), len(plan.chains), len(steps))
        lengths = [len(chain) for chain in plan.chains]
        arrays: list[NDArray[Any]] = [
            np.array(numbers, dtype=np.int64)
            for numbers in (
                (*shape, *vectors.shape, len(plan.folds), self.compact),
                plan.babies,
                lengths,
                steps,
                plan.folds,
            )
        ]
        arrays += [index, vectors, np.array(plan.plaintext_scales, dtype=np.float64)]
        pointers = [array.ctypes.data for array in arrays]
        handle, memory = c_uint64(), c_size_t()
        call("heclstm_transform", self.handle, *pointers, plan.output_scale, byref(handle), byref(memory))
        return Transform(handle.value, memory.value, plan.n_outputs)

    # evaluation

    def add(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        return self._binary(_ADD, a, b)

    def subtract(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        return self._binary(_SUBTRACT, a, b)

    def add_plain(self, a: Ciphertext, p: Plaintext) -> Ciphertext:
        """Level and scale must be the ciphertext's."""
        return self._binary(_ADD_PLAIN, a, p)

    def multiply_plain(self, a: Ciphertext, p: Plaintext) -> Ciphertext:
        """The level must be the ciphertext's; scales multiply."""
        return self._binary(_MULTIPLY_PLAIN, a, p)

    def sum_of_products(self, pairs: Sequence[tuple[Ciphertext, Ciphertext]]) -> Ciphertext:
        """Σ a·b over all pairs, relinearized once; scales multiply. Needs the relinearization key."""
        if not pairs:
            raise ParameterError("sum_of_products: got no pairs, expected at least one")
        left, right = (handle_array([pair[side] for pair in pairs]) for side in (0, 1))
        handle = new_handle("heclstm_sum_of_products", self.handle, left.ctypes.data, right.ctypes.data, len(pairs))
        return Ciphertext(self, handle)

    def rescale(self, a: Ciphertext) -> Ciphertext:
        """Divide by the last prime: one level less, and the scale divided by that prime."""
        return self._unary(_RESCALE, a, 0)

    def drop_level(self, a: Ciphertext, level: int) -> Ciphertext:
        """Forget primes; the scale stays."""
        return self._unary(_DROP_LEVEL, a, level)

    def rotate(self, a: Ciphertext, step: int) -> Ciphertext:
        """Shift left, as np.roll(x, -step). Needs the key of step modulo slots."""
        return self._unary(_ROTATE, a, step)

    def linear_transform(self, inputs: Sequence[Ciphertext], t: Transform) -> list[Ciphertext]:
        """Apply a prepared transform; scales become its output_scale. Needs the keys of its plan."""
        handles, outputs = handle_array(inputs), np.zeros(t.n_outputs, dtype=np.uint64)
        to = outputs.ctypes.data, len(outputs)
        call("heclstm_linear_transform", self.handle, handles.ctypes.data, len(handles), t.handle, *to)
        return [Ciphertext(self, int(handle)) for handle in outputs]

    def _binary(self, operation: int, a: Ciphertext, b: Handle) -> Ciphertext:
        return Ciphertext(self, new_handle("heclstm_binary", self.handle, operation, a.handle, b.handle))

    def _unary(self, operation: int, a: Ciphertext, argument: int) -> Ciphertext:
        return Ciphertext(self, new_handle("heclstm_unary", self.handle, operation, a.handle, argument))

    def _check_level(self, place: str, level: int) -> None:
        if not 0 <= level <= self.parameters.max_level:
            raise LevelError(f"{place}: got level {level}, expected 0 … {self.parameters.max_level}")

    def _check_period(self, place: str, array: NDArray[np.float64], dimensions: Literal[1, 2]) -> None:
        period = array.shape[-1] if array.ndim == dimensions else 0
        if period < 1 or period & (period - 1) or period > self.parameters.slots:
            raise ParameterError(
                f"{place}: got shape {array.shape}, expected {dimensions} dimension(s), "
                f"the last a power of two up to {self.parameters.slots}"
            )
