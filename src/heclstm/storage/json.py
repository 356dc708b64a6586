"""The one way to read JSON that came from outside, and the one form in which it is digested.

Size, depth, number of values, and the length of strings and numbers are checked on the bytes, before anything is made
of them: 64 MB of `[[]],` would become 2.4 GB of lists. Keys that stand twice, numbers without a finite value and halves
of surrogate pairs, which cannot be printed or encoded, are no JSON here.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from heclstm.errors import FileFormatError
from heclstm.storage.source import Source, opened

NUMBER_BYTES_MAX = 40  # a double needs 24, the largest prime or size 10
# In turn: a string (an unclosed one ends with the text), brackets, a number that is too long. No way to backtrack.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]|[-+.0-9eE]{%d,}' % (NUMBER_BYTES_MAX + 1), re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class JsonLimits:
    """bytes: of the file. depth: of brackets. values: of all arrays and objects. text: bytes of one string."""

    bytes: int = 16 << 20
    depth: int = 64
    values: int = 1_000_000
    text: int = 1 << 16


SMALL = JsonLimits(bytes=4 << 20, depth=32, values=100_000, text=1 << 15)  # cards, headers, diagnoses, models


def read_json(source: Source, limits: JsonLimits = JsonLimits()) -> dict[str, Any]:
    """A JSON object of a sane size. Raises FileFormatError."""
    with opened(source) as file:
        return parse_object(file.read_all(limits.bytes), file.name, limits)


def parse_object(content: bytes, name: str, limits: JsonLimits = JsonLimits()) -> dict[str, Any]:
    """The JSON object that these bytes are. name: for messages. Raises FileFormatError."""
    _check(content, name, limits)
    try:
        data = json.loads(
            content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite
        )
    except ValueError as error:  # no JSON, no UTF-8
        raise FileFormatError(f"{name}: is no JSON ({_reason(error)})") from error
    if not isinstance(data, dict):
        raise FileFormatError(f"{name}: holds a {type(data).__name__}, expected a JSON object")
    return data


def canonical(value: Any) -> bytes:
    """The same bytes for the same value, whatever the order of its keys: sorted, without blanks, in UTF-8.

    As RFC 8785, but for numbers, which are those of Python: 1 is no 1.0.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return sha256(canonical(value)).hexdigest()


def _check(content: bytes, name: str, limits: JsonLimits) -> None:
    if len(content) > limits.bytes:
        raise FileFormatError(f"{name}: {len(content)} bytes, expected at most {limits.bytes}")
    values = sum(map(content.count, (b",", b"[", b"{")))  # those in strings, too: a little too strict
    if values > limits.values:
        raise FileFormatError(f"{name}: holds about {values} values, expected at most {limits.values}")
    depth = 0
    for found in _TOKEN.finditer(content):
        first, length = content[found.start()], found.end() - found.start()
        if first in b"[{":
            depth += 1
            if depth > limits.depth:
                raise FileFormatError(f"{name}: brackets stand more than {limits.depth} deep, which nothing of ours is")
        elif first in b"]}":
            depth -= 1
        elif first in b'"':
            if length > limits.text:
                raise FileFormatError(f"{name}: holds a string of {length} bytes, expected at most {limits.text}")
            if _SURROGATE.search(found[0]) and not _printable(found[0]):
                raise FileFormatError(f"{name}: holds a string that is no text (half of a surrogate pair)")
        else:
            raise FileFormatError(f"{name}: holds a number of {length} digits, expected at most {NUMBER_BYTES_MAX}")


def _printable(token: bytes) -> bool:
    try:
        json.loads(token).encode()
    except UnicodeEncodeError:
        return False
    except ValueError:  # no JSON string: the parser says so
        return True
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands twice")
    return data


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _reason(error: Exception) -> str:
    """Without a byte of the content, which may be a patient's."""
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 at byte {error.start}"
    return str(error)
