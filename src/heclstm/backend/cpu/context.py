"""What all evaluations under one set of parameters share, whoever's keys they use. Nothing secret, no keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from ctypes import byref, c_size_t, c_uint64
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.cpu.library import Handle, call, handle_array, new_handle, report
from heclstm.backend.cpu.values import Ciphertext, Plaintext, PreparedFile, Transform
from heclstm.backend.machine import cores
from heclstm.circuit.operations import TransformPlan
from heclstm.circuit.parameters import Parameters
from heclstm.errors import LevelError, ParameterError

# Who transforms and extends bases: Lattigo (the reference), or our kernels for one instruction set; "auto" takes the
# best that the processor has. Results are the same, bit for bit.
Arithmetic = Literal["auto", "avx512", "avx2", "neon", "portable", "lattigo"]


def arithmetic(name: str) -> Arithmetic:
    """The arithmetic of that name. Raises ParameterError."""
    names: dict[str, Arithmetic] = {name: name for name in get_args(Arithmetic)}
    if name not in names:
        raise ParameterError(f"arithmetic: got {name!r}, expected one of {', '.join(names)}")
    return names[name]


def available_arithmetics() -> list[str]:
    """What this processor has, the best of our kernels first, Lattigo's last."""
    return [str(name) for name in report("heclstm_constants")["arithmetics"]]


class Context(Handle):
    """Parameters, transforms, worker threads and memory. Calls from several threads are safe.

    Each call uses up to `threads` cores, all of them together no more than `threads` beyond their callers; results
    do not depend on their number.
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
        super().__init__(new_handle("heclstm_context", text, len(text), threads or cores()))

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_threads(self, count: int) -> None:
        call("heclstm_set_threads", self.handle, count)

    def rest(self) -> None:
        """Give memory that lies idle back to the system now; two seconds without a call do the same."""
        call("heclstm_rest", self.handle)

    @property
    def arithmetic(self) -> str:
        """Which of `Arithmetic` computes; never "auto"."""
        return str(self._report()["arithmetic"])

    @property
    def allocated_bytes(self) -> int:
        """Native memory of this process, in all contexts: limbs, keys, prepared plaintexts, idle buffers. Files that
        are mapped do not count.
        """
        return int(self._report()["allocated_bytes"])

    def _report(self) -> dict[str, Any]:
        return report("heclstm_report", self.handle)

    def load_ciphertext(self, data: bytes, *, level: int) -> Ciphertext:
        """Parse a ciphertext that must be of this level. Its scale is parameters.scales[level]."""
        self._check_level("load_ciphertext", level)
        handle = new_handle("heclstm_load_ciphertext", self.handle, data, len(data), level)
        return Ciphertext(self.parameters, handle)

    def plaintext(self, values: NDArray[np.float64], level: int, scale: float) -> Plaintext:
        """Encode one period of a vector: a power of two that divides the slots."""
        array = np.ascontiguousarray(values, dtype=np.float64)
        self._check_level("plaintext", level)
        self._check_period("plaintext", array, 1)
        handle, memory = c_uint64(), c_size_t()
        out = byref(handle), byref(memory)
        call("heclstm_plaintext", self.handle, array.ctypes.data, array.size, level, scale, *out)
        return Plaintext(handle.value, memory.value, level, scale)

    def transform(
        self, plan: TransformPlan, *, compact: bool | None = None, held: tuple[PreparedFile, int] | None = None
    ) -> Transform:
        """Encode all vectors of a plan, in parallel.

        compact: as the context's, unless it is given. held: a file that holds them encoded, and at which place. Raises
        FileFormatError if those there are of another shape.
        """
        index = np.ascontiguousarray(plan.index, dtype=np.int32)
        self._check_level("transform", plan.level)
        self._check_period("transform", plan.vectors, 2)
        vectors = np.empty(0) if held else np.ascontiguousarray(plan.vectors, dtype=np.float64)
        if index.shape != (len(plan.vectors), 5) or len(plan.plaintext_scales) != plan.n_inputs:
            raise ParameterError(
                f"transform: got index {index.shape} and {len(plan.plaintext_scales)} plaintext scales, "
                f"expected {(len(plan.vectors), 5)} and {plan.n_inputs}"
            )
        steps = [step for chain in plan.chains for step in chain]
        walked = [step for walk in plan.walks for step in walk]
        special = plan.special_count or len(self.parameters.special_moduli)
        shape = (plan.level, plan.n_inputs, plan.n_outputs, len(plan.babies), len(plan.chains), len(steps))
        lengths = [len(chain) for chain in plan.chains]
        arrays: list[NDArray[Any]] = [
            np.array(numbers, dtype=np.int64)
            for numbers in (
                (
                    *shape,
                    *plan.vectors.shape,
                    len(plan.folds),
                    len(plan.walks),
                    len(walked),
                    special,
                    plan.nested,
                    self.compact if compact is None else compact,
                    held[1] if held else 0,
                ),
                plan.babies,
                lengths,
                steps,
                plan.folds,
                [len(walk) for walk in plan.walks],
                walked,
            )
        ]
        arrays += [index, vectors, np.array(plan.plaintext_scales, dtype=np.float64)]
        pointers = [array.ctypes.data for array in arrays]
        handle, memory = c_uint64(), c_size_t()
        file = held[0].handle if held else 0
        call("heclstm_transform", self.handle, *pointers, plan.output_scale, file, byref(handle), byref(memory))
        return Transform(handle.value, memory.value, plan.n_outputs)

    def prepare_rotations(self, steps: Iterable[int]) -> int:
        """Make the tables of these steps, which all key sets share, and return their bytes."""
        array, memory = np.array(sorted(steps), dtype=np.int64), c_size_t()
        call("heclstm_prepare_rotations", self.handle, array.ctypes.data, array.size, byref(memory))
        return memory.value

    def save_prepared(self, path: Path, identity: bytes, transforms: Sequence[Transform]) -> None:
        """Write their encoded vectors into a file that appears whole or not at all (mode 0600). Raises OutputError.

        identity: 32 bytes of what they follow from. It may not outlive a sudden end of the machine.
        """
        name, handles = os.fsencode(path), handle_array(transforms)
        arguments = name, len(name), identity, len(identity), handles.ctypes.data, len(handles)
        call("heclstm_save_prepared", self.handle, *arguments)

    def open_prepared(self, path: Path, identity: bytes) -> PreparedFile:
        """What `save_prepared` wrote, with all of it checked. Nobody may cut the file in place while it is open.

        Raises FileFormatError or DigestError unless it is whole, of these parameters and this identity.
        """
        name = os.fsencode(path)
        return PreparedFile(new_handle("heclstm_open_prepared", self.handle, name, len(name), identity, len(identity)))

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
