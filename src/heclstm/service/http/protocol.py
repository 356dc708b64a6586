"""What uvicorn's protocol leaves open: limits on the head of a request in bytes and seconds, and the certificate of a
client. A refusal before a request is one is a problem, like all others.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from importlib.metadata import version
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heclstm.errors import ConfigError
from heclstm.service.config import Limits
from heclstm.service.http.incoming import INCOMING, Incoming
from heclstm.service.identity import CONNECTION
from heclstm.service.problems import MEDIA_TYPE, Problem

CLOSING_SECONDS = 0.5  # for a client to close its side of TLS
READ_BYTES = 256 << 10  # at once
HOOK = "_start_asgi_task"  # private: what a request's application is started with, also one that was pipelined


def protocol(limits: Limits) -> type[asyncio.BufferedProtocol]:
    """The class for a server with these limits. Raises ConfigError for a uvicorn that it cannot stand in."""
    if not hasattr(HttpToolsProtocol, HOOK):
        raise ConfigError(
            f"uvicorn {version('uvicorn')}: has no {HOOK}, without which bodies of requests are lost; expected 0.45 or "
            "a newer one that has it, such as 0.54: pip install 'uvicorn>=0.45'"
        )

    class Protocol(HttpToolsProtocol):
        _head_bytes = 0
        _in_head = True
        _open = 0
        _timer: asyncio.TimerHandle | None = None
        _certificate: str | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            found = transport.get_extra_info("ssl_object")
            if isinstance(found, ssl.SSLObject) and (certificate := found.getpeercert(binary_form=True)):
                self._certificate = hashlib.sha256(certificate).hexdigest()
            self._await_head()
            if len(self.connections) > limits.connections:
                detail = f"more than {limits.connections} connections are open; try again later"
                self._refuse("overloaded", detail, retry_after_seconds=1)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self._in_head:
                self._head_bytes += len(data)
            super().data_received(data)
            if self._in_head and self._head_bytes > limits.header_bytes and not self.transport.is_closing():
                self._refuse("headers-too-large", f"head: expected at most {limits.header_bytes} bytes")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head = True
            peer = self.client[0] if self.client else ""  # the proxy, if there is one: what it says comes in later
            self.scope["extensions"] = {CONNECTION: {"certificate": self._certificate, "peer": peer}}
            if self._timer is None:
                self._await_head()

        def on_headers_complete(self) -> None:
            size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
            if size > limits.header_bytes:  # all of them in one piece
                self._refuse("headers-too-large", f"head: expected at most {limits.header_bytes} bytes")
                return
            self._in_head, self._head_bytes = False, 0
            self._stop_timer()
            super().on_headers_complete()

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            super()._start_asgi_task(cycle, self._incoming(cycle).around(app))

        def on_body(self, body: bytes) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._incoming(self.cycle).add(body)

        def _incoming(self, cycle: Any) -> Incoming:
            extensions: dict[str, Incoming] = cycle.scope["extensions"]
            if INCOMING not in extensions:
                extensions[INCOMING] = Incoming(cycle, self.loop)
            return extensions[INCOMING]

        def on_message_complete(self) -> None:
            if self.cycle is not None:
                super().on_message_complete()
            self._in_head = True

        def shutdown(self) -> None:
            super().shutdown()
            if self.transport.is_closing():  # an idle client may never say that it has heard
                self.loop.call_later(CLOSING_SECONDS, self.transport.abort)

        def send_400_response(self, msg: str) -> None:
            if not self.transport.is_closing():
                self._refuse("bad-request", "the bytes that came are no HTTP request")

        def _await_head(self) -> None:
            self._timer = self.loop.call_later(limits.header_seconds, self._too_slow)

        def _stop_timer(self) -> None:
            if self._timer:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                self._refuse("request-timeout", f"head: expected within {limits.header_seconds:g} seconds")

        def _refuse(self, code: str, detail: str, **members: Any) -> None:
            """Answer without the application, and hang up."""
            self._stop_timer()
            problem = Problem(code, detail, **members)
            content, title = msgspec.json.encode(problem.details()), problem.details().title
            headers = {**problem.headers, "content-type": MEDIA_TYPE, "content-length": len(content)}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"HTTP/1.1 {problem.status} {title}\r\n{lines}connection: close\r\n\r\n"
            self.transport.write(head.encode("ascii") + content)
            self.transport.close()

    return _buffered(Protocol)


def _buffered(inner: type[HttpToolsProtocol]) -> type[asyncio.BufferedProtocol]:
    """The same protocol, fed from one buffer. Otherwise TLS makes a quarter of a megabyte for each record of 16 KB and
    then copies what they hold into one piece.

    One for all connections, since it is read as soon as it is filled, and the parser keeps nothing of it.
    """
    buffer = memoryview(bytearray(READ_BYTES))

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._inner = inner(*arguments, **options)
            self._received = self._inner.data_received

        def connection_made(self, transport: Any) -> None:
            self._inner.connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            self._inner.connection_lost(exc)

        def eof_received(self) -> None:
            self._inner.eof_received()

        def pause_writing(self) -> None:
            self._inner.pause_writing()

        def resume_writing(self) -> None:
            self._inner.resume_writing()

        def get_buffer(self, sizehint: int) -> memoryview:
            return buffer

        def buffer_updated(self, nbytes: int) -> None:
            self._received(buffer[:nbytes])  # type: ignore[arg-type]  # httptools reads any buffer

    return Buffered
