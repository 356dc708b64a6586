"""Two clocks: the wall's, for what people and files are told, and one that never goes back, for all that waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since 1970. May jump: nothing is ordered or leased by it."""
    return time.time()


def steady() -> float:
    """Seconds since some moment of this process or machine; never jumps."""
    return time.monotonic()


def iso(seconds: float | None) -> str | None:
    """As in RFC 3339."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def day(seconds: float) -> str:
    """The day in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
