"""A TOML file → typed settings: every field known and bounded, every mistake named at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from heclstm.errors import ConfigError, HeclstmError
from heclstm.storage.source import opened
from heclstm.storage.typed import reason

T = TypeVar("T", bound=msgspec.Struct)
BYTES_MAX = 1 << 20
DOTS_MAX = 2000  # in one line: tomllib takes memory with the square of each dotted key, 10 GB for 100 KB
DEPTH_MAX = 32


def read_toml(path: Path, wrong: type[HeclstmError] = ConfigError) -> dict[str, Any]:
    """Raises `wrong` if it is none, FileFormatError if it cannot be read."""
    with opened(path) as file:
        content = file.read_all(BYTES_MAX)
    if sum(line.count(b".") ** 2 for line in content.split(b"\n")) > DOTS_MAX**2:
        raise wrong(f"{path}: is no TOML of ours (lines with too many dots, together more than one of {DOTS_MAX})")
    try:
        values = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, ValueError) else "brackets stand too deep"
        raise wrong(f"{path}: is no TOML ({reason})") from error
    if _deeper(values, DEPTH_MAX):
        raise wrong(f"{path}: is no TOML of ours (tables stand more than {DEPTH_MAX} deep)")
    return values


def _deeper(values: dict[str, Any], depth: int) -> bool:
    """Without recursion, for which they may be too deep."""
    inside: list[Any] = [values]
    for _ in range(depth):
        inside = [item for each in inside for item in (each.values() if isinstance(each, dict) else each)]
        inside = [each for each in inside if isinstance(each, dict | list)]
    return bool(inside)


def settings_of(data: dict[str, Any], kind: type[T], name: str, also: Callable[[T], Iterable[str]] = lambda _: ()) -> T:
    """also: mistakes of several fields together. ${NAME} in texts is replaced from the environment, so that passwords
    need not stand in the file. Raises ConfigError with all mistakes.
    """
    hints, mistakes, values = get_type_hints(kind, include_extras=True), [], {}
    for key, value in data.items():
        if key not in hints:
            mistakes.append(f"{key}: is not known; known are {', '.join(hints)}")
            continue
        try:
            values[key] = msgspec.convert(_expanded(value), hints[key])
        except msgspec.ValidationError as error:
            mistakes.append(f"{key}: {reason(error)}")
        except KeyError as error:
            mistakes.append(f"{key}: the environment has no variable {error.args[0]}")
    needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
    mistakes += [f"{key}: is missing" for key in needed if key not in data]
    if not mistakes:
        settings = kind(**values)
        mistakes = list(also(settings))
    if mistakes:
        raise ConfigError(f"{name}: " + "; ".join(mistakes))
    return settings


def _expanded(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], value)
    if isinstance(value, dict):
        return {key: _expanded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    return value
