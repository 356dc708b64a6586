"""Which model a program was compiled from, and what a report says of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from heclstm.storage.typed import Digest, Line, Name

WARNINGS_MAX = 16


class ModelFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """digest: of the model; None where nobody knows. dataset, attribution, licence: of the images it was trained on.

    warnings: what every reader of a diagnosis should know; those that follow from figures are in `card.warnings`.
    """

    name: Name = ""
    digest: Digest | None = None
    dataset: Name = ""
    attribution: Line = ""
    licence: Name = ""
    warnings: Annotated[tuple[Line, ...], Meta(max_length=WARNINGS_MAX)] = ()

    @property
    def called(self) -> str:
        """Its name, else that of what it was trained on, else the beginning of its digest."""
        return self.name or self.dataset or (self.digest or "")[:12]

    @property
    def credit(self) -> str:
        """Whose images they are, on one line; empty where nobody said."""
        return ". Licence: ".join(filter(None, (self.attribution, self.licence)))
