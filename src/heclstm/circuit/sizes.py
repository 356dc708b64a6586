"""Sizes of what the engine writes, from the parameters alone: for cost estimates and for checks before parsing.

Limbs are packed: a residue modulo q takes as many bits as q has, N residues take N/8 times as many bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from heclstm.circuit.parameters import Parameters
from heclstm.errors import LevelError

HEADER_BYTES = 40
SEED_BYTES = 32


def ciphertext_bytes(parameters: Parameters, level: int, seeded: bool) -> int:
    """A ciphertext of two polynomials, or of one and the seed of the other."""
    _check_level(parameters, level)
    polynomial = _limb_bytes(parameters, parameters.moduli[: level + 1])
    return HEADER_BYTES + (SEED_BYTES + polynomial if seeded else 2 * polynomial)


def evaluation_key_bytes(parameters: Parameters, level: int) -> int:
    """A relinearization or rotation key up to this level: a seed, and a polynomial modulo QP a digit."""
    _check_level(parameters, level)
    special = parameters.special_moduli[: parameters.special_at(level)]
    polynomial = _limb_bytes(parameters, parameters.moduli[: level + 1] + special)
    return HEADER_BYTES + SEED_BYTES + parameters.digits_at(level) * polynomial


def secret_key_bytes(parameters: Parameters) -> int:
    """Two bits a coefficient."""
    return HEADER_BYTES + parameters.ring_degree // 4


def evaluation_key_memory(parameters: Parameters, level: int) -> int:
    """A loaded key: both polynomials of each digit in 32-bit words."""
    limbs = level + 1 + parameters.special_at(level)
    return 4 * parameters.ring_degree * 2 * limbs * parameters.digits_at(level)


def rotation_table_memory(parameters: Parameters) -> int:
    """Where each slot of a rotation comes from, in 32-bit words: made with the program, and shared by all tenants."""
    return 4 * parameters.ring_degree


def _limb_bytes(parameters: Parameters, moduli: Iterable[int]) -> int:
    return sum(parameters.ring_degree // 8 * modulus.bit_length() for modulus in moduli)


def _check_level(parameters: Parameters, level: int) -> None:
    if not 0 <= level <= parameters.max_level:
        raise LevelError(f"size: got level {level}, expected 0 … {parameters.max_level}")
