"""Operations on ciphertexts of one context, with one tenant's keys or none.

Ciphertexts carry level and scale. Operations refuse operands of different levels (LevelError) or scales
(ScaleError); none rescales by itself. The scale of a fresh or serialized ciphertext is that of its level in
`Parameters.scales`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.library import OPERATIONS, Handle, call, handle_array, new_handle
from heclstm.backend.cpu.values import Ciphertext, Plaintext, Transform
from heclstm.circuit.operations import TransformPlan
from heclstm.errors import ParameterError


class CpuEvaluator:
    """keys: whose; without them, whatever needs a key raises MissingKeyError."""

    def __init__(self, context: Context, keys: KeySet | None = None) -> None:
        self.context, self.keys = context, keys

    def plaintext(self, values: NDArray[np.float64], level: int, scale: float) -> Plaintext:
        return self.context.plaintext(values, level, scale)

    def transform(self, plan: TransformPlan) -> Transform:
        return self.context.transform(plan)

    def add(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        return self._binary("add", a, b)

    def subtract(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        return self._binary("subtract", a, b)

    def add_plain(self, a: Ciphertext, plaintext: Plaintext) -> Ciphertext:
        """Level and scale must be the ciphertext's."""
        return self._binary("add_plain", a, plaintext)

    def multiply_plain(self, a: Ciphertext, plaintext: Plaintext) -> Ciphertext:
        """The level must be the ciphertext's; scales multiply."""
        return self._binary("multiply_plain", a, plaintext)

    def sum_of_products(self, pairs: Sequence[tuple[Ciphertext, Ciphertext]]) -> Ciphertext:
        """Σ a·b over all pairs, relinearized once; scales multiply. Needs the relinearization key."""
        if not pairs:
            raise ParameterError("sum_of_products: got no pairs, expected at least one")
        left, right = (handle_array([pair[side] for pair in pairs]) for side in (0, 1))
        arguments = left.ctypes.data, right.ctypes.data, len(pairs)
        return self._new("heclstm_sum_of_products", self._keys, *arguments)

    def rescale(self, a: Ciphertext) -> Ciphertext:
        """Divide by the last prime: one level less, and the scale divided by that prime."""
        return self._unary("rescale", a, 0)

    def drop_level(self, a: Ciphertext, level: int) -> Ciphertext:
        """Forget primes; the scale stays."""
        return self._unary("drop_level", a, level)

    def rotate(self, a: Ciphertext, step: int) -> Ciphertext:
        """Shift left, as np.roll(x, -step). Needs the key of step modulo slots."""
        return self._new("heclstm_rotate", self._keys, a.handle, step)

    def linear_transform(self, inputs: Sequence[Ciphertext], transform: Transform) -> list[Ciphertext]:
        """Apply a prepared transform; scales become its output_scale. Needs the keys of its plan."""
        handles, outputs = handle_array(inputs), np.zeros(transform.n_outputs, dtype=np.uint64)
        arguments = handles.ctypes.data, len(handles), transform.handle, outputs.ctypes.data, len(outputs)
        call("heclstm_linear_transform", self.context.handle, self._keys, *arguments)
        return [Ciphertext(self.context.parameters, int(handle)) for handle in outputs]

    @property
    def _keys(self) -> int:
        return 0 if self.keys is None else self.keys.handle

    def _binary(self, operation: str, a: Ciphertext, b: Handle) -> Ciphertext:
        return self._new("heclstm_binary", OPERATIONS[operation], a.handle, b.handle)

    def _unary(self, operation: str, a: Ciphertext, argument: int) -> Ciphertext:
        return self._new("heclstm_unary", OPERATIONS[operation], a.handle, argument)

    def _new(self, name: str, *arguments: int) -> Ciphertext:
        return Ciphertext(self.context.parameters, new_handle(name, self.context.handle, *arguments))
