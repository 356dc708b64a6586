"""The one way to read JSON that came from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heclstm.errors import FileFormatError

JSON_BYTES_MAX = 64 << 20


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a sane size. Raises FileFormatError."""
    try:
        size = path.stat().st_size
        if size > JSON_BYTES_MAX:
            raise FileFormatError(f"{path}: {size} bytes, expected at most {JSON_BYTES_MAX}")
        data = json.loads(path.read_text())
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number too long, brackets too deep
        raise FileFormatError(f"{path}: is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise FileFormatError(f"{path}: holds a {type(data).__name__}, expected a JSON object")
    return data
