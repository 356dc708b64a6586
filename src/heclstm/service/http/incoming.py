"""The body of a request as it comes: handed over in large pieces, since each costs the event loop the same.

A TLS record holds 16 KB, and a read of a socket some hundred; with every one of them a route would be woken, a timeout
set and a message made. So a body waits until a megabyte of it is there, or 5 ms have passed, or it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from heclstm.service.limits import PIECES
from heclstm.service.pieces import Pieces

INCOMING = "heclstm.incoming"  # in a request's scope
WAKE_BYTES = 1 << 20
HELD_BYTES_MAX = 2 << 20  # of one request: then its connection is read no further
UNASKED_BYTES_MAX = 64 << 10  # before a route asks for the body: nobody knows yet whether the sender may send any
WAIT_SECONDS = 0.005


def receive_of(scope: Any, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """How a route takes a large body: in pieces, where this stands between it and the server."""
    found = (scope.get("extensions") or {}).get(INCOMING)
    return found.take if isinstance(found, Incoming) else receive


class Incoming:
    """cycle: uvicorn's, of one request."""

    def __init__(self, cycle: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._cycle, self._loop = cycle, loop
        self._pieces, self._held_max = Pieces(), UNASKED_BYTES_MAX
        self._timer: asyncio.TimerHandle | None = None

    def add(self, piece: bytes) -> None:
        self._pieces.add(piece)
        if self._pieces.size >= min(WAKE_BYTES, self._held_max):
            self._cycle.message_event.set()
            if self._pieces.size >= self._held_max:
                self._cycle.flow.pause_reading()
        elif self._timer is None:
            self._timer = self._loop.call_later(WAIT_SECONDS, self._cycle.message_event.set)

    async def receive(self) -> Any:
        """ASGI's: the body in one piece."""
        message = await self.take()
        if (pieces := message.pop(PIECES, None)) is not None:
            message["body"] = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return message

    async def take(self) -> Any:
        """The same in pieces: large ones as they came, small ones together. What came before the connection was cut is
        handed over, too. From the first call on, more is held.
        """
        self._held_max = HELD_BYTES_MAX
        message = await self._cycle.receive()
        self._stop_timer()
        if message["type"] == "http.disconnect" and self._pieces.size:
            message = {"type": "http.request", "more_body": True}
        if message["type"] == "http.request":
            message[PIECES] = self._pieces.take()
        return message

    def around(self, app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The application, with this in place of uvicorn's own."""

        async def run(scope: Any, _: Any, send: Any) -> None:
            try:
                await app(scope, self.receive, send)
            finally:
                self._end(scope)

        return run

    def _end(self, scope: Any) -> None:
        """Let go of what nobody asked for, and of the circle from cycle to scope to this, so that all goes at once."""
        self._stop_timer()
        self._pieces.take()
        (scope.get("extensions") or {}).pop(INCOMING, None)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
