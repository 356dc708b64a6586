"""The score at which a program decides."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from heclstm.storage.typed import Count, Logit, Name, Share, plain


class OperatingPoint(Struct, frozen=True, forbid_unknown_fields=True):
    """A score of `threshold` or more counts as positive.

    Both rates were measured where the threshold was chosen, on so many positives and negatives. frames: for sequences
    of so many frames; None for all. patients: of how many patients the positives were; cards of earlier releases do
    not say it.
    """

    threshold: Logit
    wanted_sensitivity: Share | None = None
    sensitivity: Share | None = None
    specificity: Share | None = None
    positives: Count | None = None
    negatives: Count | None = None
    chosen_on: Name = "validation"
    frames: Annotated[int, Meta(ge=1, le=1 << 16)] | None = None
    patients: Count | UnsetType = UNSET

    @property
    def rates(self) -> tuple[float, float] | None:
        """(sensitivity, specificity), where both are known."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return self.sensitivity, self.specificity

    @property
    def prevalence(self) -> float | None:
        """Share of positives where it was chosen."""
        if not self.positives or self.negatives is None:
            return None
        return self.positives / (self.positives + self.negatives)

    @property
    def people(self) -> int | None:
        """How many positive patients chose it; None where nobody counted."""
        return self.positives if self.patients is UNSET else self.patients

    @property
    def chosen_by(self) -> str:
        """By whom, in words; empty where nobody counted."""
        if self.positives is None:
            return ""
        of = f" of {self.people} patients" if self.people != self.positives else ""
        return f"{self.positives} positive sequences{of} and {self.negatives} negative ones on {self.chosen_on}"

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types, as it stands in a model's file: what is not known is left out."""
        return {name: value for name, value in plain(self).items() if value is not None}
