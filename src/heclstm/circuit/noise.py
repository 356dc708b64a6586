"""How much error each CKKS operation adds, as the standard deviation of a slot before it is divided by the scale.

An error polynomial with independent coefficients of variance σ² has slots of variance g·σ², where g is what the
embedding gives: 2N in the conjugate-invariant ring (a slot is e_0 + 2 Σ e_j cos(…)), N/2 in the standard ring (the
real part of N terms). The slots of a product of two polynomials are products of slots, so the secret, uniform in
{−1, 0, 1} with variance 2/3, contributes a slot variance of g·2/3 (twice that in the standard ring: complex).
Derivations follow Cheon et al. (ia.cr/2016/421) and Bossuat et al. (ia.cr/2020/1203, section 3 for double hoisting).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heclstm.circuit.parameters import Parameters

SIGMA = 3.19
SECRET_VARIANCE = 2 / 3
ROUNDING_VARIANCE = 1 / 12  # of a number rounded to the next integer


@dataclass(frozen=True)
class Noise:
    """Standard deviations in slots, times the scale."""

    parameters: Parameters

    @property
    def gain(self) -> float:
        degree = self.parameters.ring_degree
        return 2.0 * degree if self.parameters.ring == "conjugate_invariant" else degree / 2

    @property
    def secret_gain(self) -> float:
        """Mean squared slot of the secret."""
        complex_parts = 1 if self.parameters.ring == "conjugate_invariant" else 2
        return complex_parts * self.gain * SECRET_VARIANCE

    @property
    def encryption(self) -> float:
        """A fresh error under the secret key, and the rounding of the message."""
        return math.sqrt(self.gain * (SIGMA**2 + ROUNDING_VARIANCE))

    @property
    def rounding(self) -> float:
        """Dividing both parts of a ciphertext by a prime (rescale) or by P (mod-down): r_0 + r_1 · s."""
        return math.sqrt(self.gain * ROUNDING_VARIANCE * (1 + self.secret_gain))

    def key_switch(self, level: int, key_level: int | None = None) -> float:
        """Σ digits · errors / P, before the mod-down is rounded. A digit is uniform below the product of its primes.

        key_level: of the key, if it is not that of the ciphertext.
        """
        size = self.parameters.special_at(level if key_level is None else key_level)
        moduli, special = self.parameters.moduli[: level + 1], self.parameters.special_moduli[:size]
        log_p = math.fsum(map(math.log2, special))
        variance = 0.0
        for start in range(0, len(moduli), size):
            log_digit = math.fsum(map(math.log2, moduli[start : start + size]))
            variance += 2.0 ** (2 * (log_digit - log_p)) * ROUNDING_VARIANCE * SIGMA**2
        complex_parts = 1 if self.parameters.ring == "conjugate_invariant" else 2
        return math.sqrt(variance * complex_parts) * self.gain

    def encoding(self, period: int) -> float:
        """Rounding a plaintext of a repeating vector: only `period` coefficients are not zero."""
        return math.sqrt(self.gain * period / self.parameters.slots * ROUNDING_VARIANCE)
