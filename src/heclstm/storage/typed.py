"""Plain JSON values → typed ones: every field known, of its kind and within its limits, or a typed error."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from msgspec import Meta, ValidationError, convert, to_builtins

from heclstm.errors import FileFormatError, HeclstmError

T = TypeVar("T")

# They end with a look ahead, since `$` alone also stands before a line break at the end.
_DIGEST, _LABEL = r"^[0-9a-f]{64}(?!\n)$", r"^[0-9a-f]{32}(?!\n)$"
Digest = Annotated[str, Meta(pattern=_DIGEST, description="SHA-256 in hexadecimal digits")]
Label = Annotated[str, Meta(pattern=_LABEL, description="128 random bits in hexadecimal digits")]

# Control characters, line breaks, marks that turn the direction of writing, and halves of surrogate pairs.
_UNPRINTABLE = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_PRINTABLE = rf"^(?![\s\S]*{_UNPRINTABLE})"
Name = Annotated[str, Meta(max_length=200, pattern=_PRINTABLE)]
Line = Annotated[str, Meta(max_length=4000, pattern=_PRINTABLE)]

_WORDS = {
    _DIGEST: "of 64 hex digits",
    _LABEL: "of 32 hex digits",
    _PRINTABLE: "on one line, without control characters",
}

Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]  # no NaN, no infinity
Logit = Annotated[float, Meta(ge=-1e9, le=1e9)]  # of a score: with more digits, no page can show it
Positive = Annotated[float, Meta(gt=0, le=1e300)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=1 << 40)]


def typed(data: Any, kind: type[T], name: str) -> T:
    """A value of this kind. name: for messages. Raises FileFormatError, or the error that the kind refuses by."""
    try:
        return convert(data, kind, str_keys=True)
    except ValidationError as error:
        raise FileFormatError(f"{name}: {reason(error)}") from error
    except HeclstmError as error:  # what the kind itself refuses
        raise type(error)(f"{name}: {error}") from error


def reason(error: ValidationError) -> str:
    """What is wrong and where, without the patterns."""
    text = str(error)
    for pattern, words in _WORDS.items():
        text = text.replace(f"matching regex {pattern!r}", words)
    return text


def one_line(text: str, length: int = 4000) -> str:
    """Text that was put together from what others said, as `Line` wants it."""
    return re.sub(_UNPRINTABLE, " ", " ".join(text.split()))[:length]


def plain(value: Any) -> Any:
    """What `typed` makes the same value of."""
    return to_builtins(value, str_keys=True)
