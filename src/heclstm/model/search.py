"""What `[search]` of a training file says: a small grid of other values, to be compared by cross-validation.

[search]
folds = 5

[search.grid]
"model.cell.hidden_size" = [8, 16]          # a place in the training file, and the values that it takes
frames = [                                  # a name of its own: places that change together
    { "preparation.frames" = 4, "model.frames" = 4, "preparation.source" = [4, 3, 32, 32] },
    { "preparation.frames" = 8, "model.frames" = 8, "preparation.source" = [8, 3, 32, 32] },
]
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from heclstm.errors import ModelError
from heclstm.model.recipe import SEARCH, TrainConfig, read_values, without_exact

MOST = 64  # so many variants: of a search by hand, not over night


@dataclass(frozen=True)
class Variant:
    """One point of a grid. changed: what it says otherwise, by the names of the grid."""

    number: int
    changed: Mapping[str, Any]
    recipe: TrainConfig

    @property
    def name(self) -> str:
        return ", ".join(f"{name.rpartition('.')[2]} {_told(value)}" for name, value in self.changed.items())


@dataclass(frozen=True)
class Search:
    """folds: of each cross-validation. grid: by places in the training file, or by names for several places."""

    grid: Mapping[str, tuple[Any, ...]]
    folds: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2:
            raise ModelError(f"search.folds: got {self.folds!r}, expected a whole number of at least 2")
        if not isinstance(self.grid, Mapping) or not self.grid:
            raise ModelError(f"search.grid: got {self.grid!r}, expected places of the training file with their values")
        for name, values in self.grid.items():
            if not isinstance(values, list | tuple) or not values:
                raise ModelError(f"search.grid: {name}: got {values!r}, expected a list of values")
            if "." not in name and not all(isinstance(value, Mapping) for value in values):
                raise ModelError(
                    f"search.grid: {name}: got {values[0]!r}, expected a place such as 'model.{name}', or tables of "
                    "places that change together"
                )
        if (count := self.size) > MOST:
            raise ModelError(f"search.grid: got {count} variants, expected at most {MOST}")

    @property
    def size(self) -> int:
        count = 1
        for values in self.grid.values():
            count *= len(values)
        return count

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """Raises ModelError if the training file has no table [search], or a wrong one."""
        if SEARCH not in (values := read_values(path)):
            raise ModelError(f"{path}: has no table [search]; see docs/your-data.md")
        table, known = values[SEARCH], [item.name for item in fields(cls)]
        if not isinstance(table, Mapping) or (unknown := [name for name in table if name not in known]):
            got = f"unknown field {unknown[0]!r}" if isinstance(table, Mapping) else type(table).__name__
            raise ModelError(f"search: got {got}, expected a table of {', '.join(known)}")
        return cls(**{"grid": {}, **table})

    def variants(self, path: Path | str, **changes: Any) -> list[Variant]:
        """Every combination, as training files of their own; the last name of the grid changes first.

        path: the training file. changes: top-level fields that all of them get, such as a seed. Raises ModelError on
        one that is no training file.
        """
        base = {name: value for name, value in read_values(path).items() if name != SEARCH} | changes
        found = []
        for number, combination in enumerate(itertools.product(*self.grid.values()), start=1):
            changed = dict(zip(self.grid, combination, strict=True))
            values = copy.deepcopy(base)
            for name, value in changed.items():
                for place, each in ({name: value} if "." in name else value).items():
                    _set(values, place, each)
            try:
                found.append(Variant(number, changed, TrainConfig.from_json(values)))
            except ModelError as error:
                raise ModelError(f"{path}: search: variant {number} ({_told(changed)}): {error}") from error
        return found

    def to_json(self) -> dict[str, Any]:
        return {"folds": self.folds, "grid": {name: list(values) for name, values in self.grid.items()}}


def _set(values: dict[str, Any], place: str, value: Any) -> None:
    """values["a"]["b"] = value for the place "a.b"."""
    *tables, last = place.split(".")
    for name in tables:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise ModelError(f"search.grid: {place}: {name} is no table of the training file")
    values |= without_exact({last: copy.deepcopy(value)})


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.rpartition('.')[2]} {_told(each)}" for name, each in value.items())
    return "exact" if value is None else str(value)
