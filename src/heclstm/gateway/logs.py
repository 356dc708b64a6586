"""What a gateway says on stderr: a JSON object a line, with its own labels of studies; nothing that a sender said."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

_LOCK = threading.Lock()


def log(event: str, **facts: str | int | float | None) -> None:
    """facts: labels, states, counts, classes of errors. Never the text of one: it may hold what a file says."""
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts})
    with _LOCK, suppress(OSError, ValueError):  # a log that cannot be written stops nothing, and lets nobody in
        print(line, file=sys.stderr, flush=True)
