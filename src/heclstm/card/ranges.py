"""The values that a layer, or the score, was seen to take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from heclstm.storage.typed import Name

Nonnegative = Annotated[float, Meta(ge=0, le=1e300)]


class Bounds(Struct, frozen=True, forbid_unknown_fields=True):
    """As they stand in a model's file, in a table by name."""

    max_abs: Nonnegative
    limit: Nonnegative


class Range(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """max_abs: the largest absolute value in calibration. limit: what may not be left. The name "score": the result.

    bound: what no input in [0, 1] can exceed, computed by the compiler; None where nothing is certain.
    """

    name: Name
    max_abs: Nonnegative
    limit: Nonnegative
    bound: Nonnegative | None = None


def ranges_of(table: Mapping[str, Bounds]) -> tuple[Range, ...]:
    return tuple(Range(name, bounds.max_abs, bounds.limit) for name, bounds in table.items())
