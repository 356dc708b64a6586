"""What prepared images of training looked like, in a few numbers (`data.statistics`): a hospital checks it in clear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from heclstm.errors import FileFormatError
from heclstm.storage.typed import Count, Finite, Name, Share


class Statistic(Struct, frozen=True, forbid_unknown_fields=True):
    """name: of one of `data.statistics`. low, high: what is usual."""

    name: Name
    low: Finite
    high: Finite


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """Images are inside if each statistic is.

    coverage: share of training sequences that were inside when bounds were fitted without them. sequences: how many.
    """

    statistics: Annotated[tuple[Statistic, ...], Meta(min_length=1, max_length=64)]
    coverage: Share
    sequences: Count

    def __post_init__(self) -> None:
        """Raises FileFormatError."""
        names = [each.name for each in self.statistics]
        if len(set(names)) != len(names) or any(not each.low <= each.high for each in self.statistics):
            raise FileFormatError("card: a statistic of its envelope stands twice, or its bounds are turned around")

    def outside(self, found: Mapping[str, float]) -> tuple[str, ...]:
        """What is unusual, in words that hold no value of the images. Raises FileFormatError for statistics that this
        release does not know.
        """
        words = []
        for each in self.statistics:
            if each.name not in found:
                raise FileFormatError(f"card: its envelope asks for {each.name!r}, which this release cannot measure")
            value = found[each.name]
            if value < each.low:
                words.append(f"{each.name} is below {each.low:.3g}")
            elif value > each.high:
                words.append(f"{each.name} is above {each.high:.3g}")
        return tuple(words)
