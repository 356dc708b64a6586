"""Fields of configurations that say what may stand in them, checked when a configuration is made.

kernel: Annotated[Pair, Pairs(1)] = (3, 3)        two whole numbers of at least 1
degree: Annotated[int | None, OneOf(None, 1, 2)]  one of these
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

from heclstm.errors import ModelError

Pair = tuple[int, int]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Whole:
    """A whole number of at least `lowest`."""

    lowest: int

    def __call__(self, name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or value < self.lowest:
            raise ModelError(f"{name}: got {value!r}, expected a whole number of at least {self.lowest}")
        return value


@dataclass(frozen=True)
class Pairs:
    """Two whole numbers (vertical, horizontal) of at least `lowest`, or None where that is allowed."""

    lowest: int
    optional: bool = False

    def __call__(self, name: str, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ModelError(f"{name}: got {value!r}, expected two whole numbers (vertical, horizontal)")
        each = Whole(self.lowest)
        return each(name, value[0]), each(name, value[1])


class OneOf:
    """One of these values."""

    def __init__(self, *allowed: Any) -> None:
        self.allowed = allowed

    def __call__(self, name: str, value: Any) -> Any:
        # 1 == True in Python, so the type is compared as well
        if not any(value == item and type(value) is type(item) for item in self.allowed):
            raise ModelError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, self.allowed))}")
        return value


def rules(kind: type[Any]) -> dict[str, Whole | Pairs | OneOf]:
    """Which fields of a dataclass have a rule."""
    hints = get_type_hints(kind, include_extras=True)
    found = {field.name: getattr(hints[field.name], "__metadata__", (None,))[0] for field in fields(kind)}
    return {name: rule for name, rule in found.items() if rule is not None}


def check_fields(config: Any) -> None:
    """For `__post_init__`: every field by its rule; lists become tuples. Raises ModelError."""
    for name, rule in rules(type(config)).items():
        object.__setattr__(config, name, rule(f"{type(config).__name__}.{name}", getattr(config, name)))


def build(kind: type[Kind], values: Any) -> Kind:
    """A configuration from a table. Raises ModelError on missing, unknown or wrong fields."""
    if not isinstance(values, Mapping):
        raise ModelError(f"{kind.__name__}: got {type(values).__name__}, expected a table of fields")
    names = [item.name for item in fields(kind) if item.init]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in values:
        if name not in names:
            raise ModelError(f"{kind.__name__}: got unknown field {name!r}, expected some of {', '.join(names)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ModelError(f"{kind.__name__}: {str(error).partition('() ')[2] or error}") from error


def plain(value: Any) -> Any:
    """Tuples become lists, as JSON would make them."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
