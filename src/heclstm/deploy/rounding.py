"""How many decimals of a decrypted number mean anything: no more of them are returned, stored or shown.

The digits beyond are noise of the ciphertext, and who sees noise learns about the secret key (Li and Micciancio,
ia.cr/2020/1533; docs/security.md). A rescale leaves an error whose slots have the standard deviation

    σ = √(g/12 · (1 + g·2/3)) / Δ,     g = 2N or N/2 (`circuit.noise`)

and what a circuit does to it afterwards multiplies it: AMPLIFICATION, as measured on the shipped program, whose scores
are off by 2^-11 where σ is 2^-15. A step of rounding is at least AMPLIFICATION · σ. Parameters alone tell it, so that
no card can ask for more.
"""

from __future__ import annotations

import math

from heclstm.card.program_card import Card
from heclstm.circuit.layout import Floats
from heclstm.circuit.noise import Noise

AMPLIFICATION = 16.0
DECIMALS_MAX = 3  # no reader of a logit needs more


def decimals(card: Card) -> int:
    """Of scores and contributions: 3 for a scale of 29 bits and rings up to 2^16."""
    step = AMPLIFICATION * Noise(card.parameters).rounding / card.parameters.scales[card.result_level]
    return max(0, min(DECIMALS_MAX, math.floor(-math.log10(step))))


def border(threshold: float, card: Card) -> float:
    """The lowest number that can be read and reaches the threshold. It divides scores as the threshold does, and can be
    shown beside them whole: +0.250 is not below +0.2504 for who reads three decimals, but is below +0.251.
    """
    digits = decimals(card)
    found = round(threshold, digits) + 0.0
    return found if found >= threshold else round(found + 10.0**-digits, digits)


def rounded(values: Floats, card: Card) -> Floats:
    """What is left of decrypted numbers; 0 for a small negative one, not −0."""
    result: Floats = values.round(decimals(card)) + 0.0
    return result
