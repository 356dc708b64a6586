"""How many decimals of a decrypted number mean anything: no more of them are returned, stored or shown.

The digits beyond are noise of the ciphertext, and who sees noise learns about the secret key (Li and Micciancio,
ia.cr/2020/1533; docs/security.md). A rescale leaves an error whose slots have the standard deviation

    σ = √(g/12 · (1 + g·2/3)) / Δ,     g = 2N or N/2 (`circuit.noise`)

and a turn of the input, before all that multiplies it, one that is small beside it but in rings with room for few
special primes: 7 σ where N is 2^13. What a circuit does to both afterwards multiplies them: by 10 in the shipped
program, whose scores are calibrated to ±5.5, by 50 in that of docs/your-data.md, to ±12.2 (root mean squares of 298 and
of 10 encrypted scores). So a step of rounding is at least AMPLIFICATION · σ, and PER_UNIT · σ for each unit that scores
may reach. That is 3.6 times the root mean square of the one, and 7 times that of the other. Parameters and the
calibrated range tell it, and no card can ask for more than DECIMALS_MAX.
"""

from __future__ import annotations

import math

import numpy as np

from heclstm.card.program_card import Card
from heclstm.circuit.layout import Floats
from heclstm.circuit.noise import Noise

AMPLIFICATION = 16.0
PER_UNIT = 6.0
DECIMALS_MAX = 3  # no reader of a logit needs more


def decimals(card: Card) -> int:
    """Of scores and contributions: 3 for a scale of 29 bits, rings up to 2^16 and scores up to 5; 2 up to 50."""
    noise = Noise(card.parameters)
    each = math.hypot(noise.rounding, noise.key_switch(card.input_level)) / card.parameters.scales[card.result_level]
    step = each * max(AMPLIFICATION, PER_UNIT * (card.limit("score") or 0.0))
    return max(0, min(DECIMALS_MAX, math.floor(-math.log10(step))))


def border(threshold: float, card: Card) -> float:
    """The operating point, with as many decimals as a score: what reaches it exactly also does when both are rounded,
    and a page can show both whole. +0.250 is below +0.2504, but not for who reads three decimals.
    """
    return float(np.round(threshold, decimals(card))) + 0.0


def rounded(values: Floats, card: Card) -> Floats:
    """What is left of decrypted numbers; 0 for a small negative one, not −0."""
    result: Floats = values.round(decimals(card)) + 0.0
    return result
