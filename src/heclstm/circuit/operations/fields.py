"""Dataclasses as JSON beside numbered arrays, and back, by the types of their fields.

A dataclass is {"operation": its name, field: value, …}, an array {"array": its number}, a tuple a list. What is read
has exactly the types that the fields say, since files come from others.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from heclstm.circuit.late import LateArray
from heclstm.errors import FileFormatError

Array = NDArray[Any]
LATER = {"later": True}  # metadata of a field that a later release added: left out where it has its default
Kind = TypeVar("Kind")


def encode(value: Any, arrays: list[Array]) -> Any:
    """Plain JSON; arrays are appended to `arrays`."""
    if isinstance(value, np.ndarray | LateArray):
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    if is_dataclass(value):
        written = [(field, getattr(value, field.name)) for field in fields(value)]
        named = {
            field.name: encode(content, arrays)
            for field, content in written
            if not (field.metadata.get("later") and content == field.default)
        }
        return {"operation": type(value).__name__, **named}
    if isinstance(value, tuple):
        return [encode(item, arrays) for item in value]
    return value


def decode(kind: type[Kind], data: Any, arrays: Sequence[Array]) -> Kind:
    """What `encode` wrote. Raises FileFormatError."""
    place = kind.__name__
    if not isinstance(data, Mapping) or data.get("operation") != place:
        raise FileFormatError(f"circuit: got no {place} where one is expected")
    hints = _hints(kind)  # type: ignore[arg-type]  # a class can be hashed
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    given = set(data) - {"operation"}
    missing = {name for name, field in known.items() if field.default is MISSING} - given
    if odd := sorted(map(str, given - set(known) | missing)):
        raise FileFormatError(f"circuit: {place}: {', '.join(odd)}: missing, or not known")
    return kind(**{name: _value(hints[name], data[name], arrays, f"{place}.{name}") for name in given})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, data: Any, arrays: Sequence[Array], place: str) -> Any:
    if is_dataclass(hint):
        return decode(hint, data, arrays)  # type: ignore[arg-type]  # a hint is a type
    origin = get_origin(hint)
    if origin is tuple:
        return _tuple(get_args(hint), data, arrays, place)
    if origin is np.ndarray:
        return _array(get_args(get_args(hint)[1])[0], data, arrays, place)
    allowed = (int, float) if hint is float else (hint,)
    if type(data) not in allowed:
        raise FileFormatError(f"circuit: {place}: got a {type(data).__name__}, expected a {hint.__name__}")
    return data


def _tuple(hints: tuple[Any, ...], data: Any, arrays: Sequence[Array], place: str) -> tuple[Any, ...]:
    repeats = len(hints) == 2 and isinstance(hints[1], types.EllipsisType)
    if not isinstance(data, list) or not (repeats or len(data) == len(hints)):
        expected = "a list" if repeats else f"a list of {len(hints)}"
        raise FileFormatError(f"circuit: {place}: got a {type(data).__name__}, expected {expected}")
    return tuple(_value(hints[0 if repeats else n], item, arrays, place) for n, item in enumerate(data))


def _array(scalar: Any, data: Any, arrays: Sequence[Array], place: str) -> Array:
    number = data.get("array") if isinstance(data, Mapping) and len(data) == 1 else None
    if type(number) is not int or not 0 <= number < len(arrays):
        raise FileFormatError(f"circuit: {place}: expected the number of one of {len(arrays)} arrays")
    if arrays[number].dtype != scalar:
        raise FileFormatError(f"circuit: {place}: got {arrays[number].dtype} values, expected {np.dtype(scalar)}")
    return arrays[number]
