"""What the steps of a linear transform cost, and what a key is worth beside them: what the compiler chooses by.

Seconds are counted in NTTs of one limb, bytes in limbs: so the numbers hold for every ring degree, nearly. The weights
are the engine's kernels beside its NTT (benchmarks/results/kernels.md, AVX-512).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Preference = Literal["keys", "balance", "time"]

# How many NTTs of a limb the evaluation may take longer for a limb less of keys: 0.12 MB against 20 µs at N = 2^15.
WORTH: dict[Preference, float] = {"keys": 250.0, "balance": 12.0, "time": 0.3}

# How many more plans are tried from the best one: the more a key is worth, the further off are the first ones.
TRIES: dict[Preference, int] = {"keys": 64, "balance": 8, "time": 8}

DIAGONAL = 0.31  # a product with a diagonal
GATHER = 0.4  # an automorphism of one polynomial
DIGIT = 0.32  # a digit times both parts of a key
SPLIT, JOIN = 0.23, 0.16  # a basis extension: of each prime from which, and of each such prime to another one


@dataclass(frozen=True)
class Rates:
    """In NTTs. decomposition: of an input. baby: a hoisted turn. giant: of a sum. rotation: of a whole ciphertext.
    closing: the mod-down of an output. key: the worth of one more key.
    """

    decomposition: float
    baby: float
    giant: float
    rotation: float
    diagonal: float
    closing: float
    key: float

    @classmethod
    def at(cls, level: int, special: int, worth: float) -> Rates:
        """special: how many special primes a key of this level has. worth: of a limb of keys."""
        own, limbs = level + 1, level + 1 + special
        digits = -(-own // special)
        decomposition = own * (1 + SPLIT) + (digits * limbs - own) * (1 + JOIN * min(special, own))
        turn = limbs * (DIGIT * digits + 2 * GATHER)
        down = special * (1 + SPLIT) + own * (1 + JOIN * special)
        key = worth * digits * limbs
        switch = decomposition + turn
        return cls(decomposition, turn, down + switch, 2 * down + switch, limbs * DIAGONAL, 2 * down, key)

    @property
    def typical(self) -> float:
        """A transform of 20 babies, 10 giants, 100 diagonals, and 15 keys: what levels are compared by."""
        return (
            self.decomposition + 20 * self.baby + 10 * self.giant + 100 * self.diagonal + self.closing + 15 * self.key
        )


# Where a layout is chosen, levels are not known yet: those of a first layer of a deep program.
TYPICAL_LEVEL, TYPICAL_SPECIAL = 17, 9
