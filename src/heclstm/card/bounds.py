"""What a hospital does for a program at most, whatever its card asks for: checked before a key is made."""

from __future__ import annotations

import math

from heclstm.card.preparation import Preparation
from heclstm.circuit.circuit import NeededKeys
from heclstm.circuit.layout import ImageLayout
from heclstm.circuit.parameters import LEVEL_MIN, Parameters
from heclstm.circuit.sizes import ciphertext_bytes, evaluation_key_bytes
from heclstm.errors import FileFormatError
from heclstm.storage.container import BLOB_BYTES_MAX

# The shipped program asks for 0.5 GB of keys, the deepest of our experiments for 5.3: more is a mistake, or an attack.
ROTATIONS_MAX = 4096
KEYS_BYTES_MAX = 8 << 30  # of all evaluation keys together
KEY_BYTES_MAX = BLOB_BYTES_MAX  # of each: a container holds no more, and one is made in memory
CIPHERTEXTS_MAX = 256
QUERY_BYTES_MAX = 1 << 30  # the shipped program's query has 2.5 MB


def check_levels(parameters: Parameters, keys: NeededKeys, input_level: int, result_level: int) -> None:
    """Levels that there are, and rotations that turn."""
    levels = [input_level, result_level, *keys.levels.values()]
    if not all(LEVEL_MIN <= level <= parameters.max_level for level in levels):
        raise FileFormatError(f"card: a level is not among {LEVEL_MIN} … {parameters.max_level}")
    if not all(0 < step < parameters.slots for step in keys.rotations):
        raise FileFormatError(f"card: a rotation step is not among 1 … {parameters.slots - 1}")


def check_noise(parameters: Parameters) -> None:
    """P at least as large as the largest digit: else noise of key switching takes over, and results mean nothing."""
    for level in range(LEVEL_MIN, len(parameters.moduli)):
        size = parameters.special_at(level)
        digits = (parameters.moduli[start : min(start + size, level + 1)] for start in range(0, level + 1, size))
        if max(map(math.prod, digits)) > math.prod(parameters.special_moduli[:size]):
            raise FileFormatError("card: its special primes are smaller than a digit of its moduli; compile it again")


def check_keys(parameters: Parameters, keys: NeededKeys) -> None:
    if len(keys.rotations) > ROTATIONS_MAX:
        raise FileFormatError(f"card: asks for {len(keys.rotations)} rotation keys, expected at most {ROTATIONS_MAX}")
    levels = keys.levels.values()
    sizes = {level: evaluation_key_bytes(parameters, level) for level in set(levels)}
    if (largest := max(sizes.values(), default=0)) > KEY_BYTES_MAX:
        raise FileFormatError(f"card: asks for a key of {largest} bytes, expected at most {KEY_BYTES_MAX}")
    if (total := sum(sizes[level] for level in levels)) > KEYS_BYTES_MAX:
        raise FileFormatError(f"card: asks for {total} bytes of keys, expected at most {KEYS_BYTES_MAX}")


def check_query(parameters: Parameters, layout: ImageLayout, input_level: int) -> None:
    if (count := layout.ciphertexts) > CIPHERTEXTS_MAX:
        raise FileFormatError(f"card: asks for {count} ciphertexts, expected at most {CIPHERTEXTS_MAX}")
    if (total := count * ciphertext_bytes(parameters, input_level, seeded=True)) > QUERY_BYTES_MAX:
        raise FileFormatError(f"card: asks for queries of {total} bytes, expected at most {QUERY_BYTES_MAX}")


def check_preparation(preparation: Preparation, layout: ImageLayout) -> None:
    """Both name the sizes of a sequence, so they must be the same."""
    expected = (layout.frames, layout.channels, layout.height, layout.width)
    if preparation.shape != expected:
        raise FileFormatError(
            f"card: its preparation makes (frames, channels, height, width) {preparation.shape}, but its input layout "
            f"takes {expected}; compile it again"
        )
