"""The score at which a program decides."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from heclstm.storage.typed import Count, Finite, Name, Share, plain


class OperatingPoint(Struct, frozen=True, forbid_unknown_fields=True):
    """A score of `threshold` or more counts as positive.

    Both rates were measured where the threshold was chosen. frames: for sequences of so many frames; None for all.
    """

    threshold: Finite
    wanted_sensitivity: Share | None = None
    sensitivity: Share | None = None
    specificity: Share | None = None
    positives: Count | None = None
    negatives: Count | None = None
    chosen_on: Name = "validation"
    frames: Annotated[int, Meta(ge=1, le=1 << 16)] | None = None

    @property
    def rates(self) -> tuple[float, float] | None:
        """(sensitivity, specificity), where both are known."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return self.sensitivity, self.specificity

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types, as it stands in a model's file: what is not known is left out."""
        return {name: value for name, value in plain(self).items() if value is not None}
