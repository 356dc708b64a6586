"""The body of a request as it comes: handed over in large pieces, since each costs the event loop the same.

A TLS record holds 16 KB, and a read of a socket some hundred; with every one of them a route would be woken, a timeout
set and a message made. So a body waits until a megabyte of it is there, or 5 ms have passed, or it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from heclstm.service.limits import PIECES

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
        self._pieces: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._most = UNASKED_BYTES_MAX

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= self._most:
            self._cycle.flow.pause_reading()
        if self._size >= min(self._most, WAKE_BYTES):
            self._cycle.message_event.set()
        elif self._timer is None:
            self._timer = self._loop.call_later(WAIT_SECONDS, self._cycle.message_event.set)

    async def receive(self) -> Any:
        """ASGI's: the body in one piece."""
        message = await self.take()
        if (pieces := message.pop(PIECES, None)) is not None:
            message["body"] = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return message

    async def take(self) -> Any:
        """The same with the pieces as they came. What came before the connection was cut is handed over, too."""
        self._most = HELD_BYTES_MAX
        message = await self._cycle.receive()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if message["type"] == "http.disconnect" and self._pieces:
            message = {"type": "http.request", "more_body": True}
        if message["type"] == "http.request":
            message[PIECES] = self._pieces
            self._pieces, self._size = [], 0
        return message

    def around(self, app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The application, with this in place of uvicorn's own."""

        async def run(scope: Any, _: Any, send: Any) -> None:
            await app(scope, self.receive, send)

        return run
