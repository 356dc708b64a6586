"""How fast one may ask, and how slowly one may send."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from heclstm.service import clock
from heclstm.service.config import Limits
from heclstm.service.problems import Problem

BUCKETS_MAX = 10_000
PIECES = "heclstm.pieces"  # of a message: a list of bytes in place of its body
RATE_MIN = 1000  # bytes a second, in the mean: slower than any line, faster than who only holds a connection


class Rates:
    """A bucket of tokens for each name: filled at a rate, twice a second's worth at most."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # name → (tokens, when)

    def take(self, name: str, per_second: float) -> None:
        """Raises Problem if there is none left."""
        now, full = clock.steady(), max(1.0, 2 * per_second)
        tokens, since = self._buckets.get(name, (full, now))
        tokens = min(full, tokens + (now - since) * per_second)
        if tokens < 1:
            self._buckets[name] = (tokens, now)
            wait = math.ceil((1 - tokens) / per_second)
            raise Problem(
                "rate-limited",
                f"more than {per_second:g} requests a second; wait, and ask less often (long polls wait for you)",
                retry_after_seconds=wait,
            )
        if len(self._buckets) >= BUCKETS_MAX:
            self._buckets.clear()
        self._buckets[name] = (tokens - 1, now)


class Gone(Exception):
    """Whoever sent the request has hung up."""


Receive = Callable[[], Awaitable[Any]]


async def body(receive: Receive, limits: Limits, on_bytes: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The pieces of a body as they come. Raises Problem for one that stalls, Gone if the connection is cut."""
    begin, total, more = clock.steady(), 0, True
    while more:
        try:
            async with asyncio.timeout(limits.stall_seconds):
                message = await receive()
        except TimeoutError:
            raise _slow(f"no byte came for {limits.stall_seconds:g} seconds") from None
        if message["type"] == "http.disconnect":
            raise Gone
        pieces, more = message.get(PIECES) or [message.get("body", b"")], message.get("more_body", False)
        size = sum(map(len, pieces))
        total += size
        if total < RATE_MIN * (clock.steady() - begin - limits.stall_seconds) and more:
            raise _slow(f"fewer than {RATE_MIN} bytes came in a second")
        if size:
            on_bytes(size)
            for piece in pieces:
                yield piece


def _slow(what: str) -> Problem:
    return Problem(
        "request-timeout", f"body: {what}; uploads of keys go on where they ended", headers={"connection": "close"}
    )
