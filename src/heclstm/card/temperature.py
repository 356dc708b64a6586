"""What turns a score into the probability of a positive; `model.temperature` fits it."""

from __future__ import annotations

import math
from typing import Any

from msgspec import Struct

from heclstm.storage.typed import Count, Finite, Name, Positive, plain


class Temperature(Struct, frozen=True, forbid_unknown_fields=True):
    """loss, loss_before: mean negative log-likelihood where it was fitted, after and before."""

    temperature: Positive
    offset: Finite = 0.0
    loss_before: Finite | None = None
    loss: Finite | None = None
    positives: Count | None = None
    negatives: Count | None = None
    fitted_on: Name = "validation"

    def probability(self, score: float) -> float:
        """Of a positive, where patients are like those of the validation data."""
        logit = score / self.temperature + self.offset
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types, as it stands in a model's file: what is not known is left out."""
        return {name: value for name, value in plain(self).items() if value is not None}
