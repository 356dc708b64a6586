"""Steps are performed here: requests over HTTPS, pauses, work. The one file that knows httpx and truststore."""

from __future__ import annotations

import asyncio
import hashlib
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import httpx
import truststore

from heclstm.errors import CertificateError, FileFormatError, InputError, NetworkError
from heclstm.network.address import Address
from heclstm.network.patience import AGAIN
from heclstm.network.steps import Answer, Ask, Cut, Do, Steps, Wait
from heclstm.storage.source import opened

T = TypeVar("T")
CONNECT_SECONDS = 20.0
CONNECTIONS = 128
SLOW_TIMEOUTS, SLOWEST_BYTES = 4, 1 << 11  # a line that is slow, and a server that sends a byte now and then, for ever


_ALWAYS = (math.inf, "")
_UNTIL: ContextVar[tuple[float, str]] = ContextVar(
    "until", default=_ALWAYS
)  # of the request that this thread or task makes


@dataclass(frozen=True, repr=False)
class Route:
    """How a server is reached. ca: certificates to trust in place of the system's. certificate: the hospital's own, and
    its key, in one PEM file. proxy: a URL; else HTTPS_PROXY and NO_PROXY of the environment hold.
    """

    address: Address
    token: str
    ca: Path | None = None
    certificate: Path | None = None
    proxy: str | None = None

    def options(self) -> dict[str, Any]:
        """Of a client of httpx."""
        if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise InputError("token: holds blanks or what is no ASCII letter; give it as the operator wrote it")
        headers = {"user-agent": f"heclstm/{version('heclstm')}", "accept-encoding": "identity"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            httpx.URL(self.address.url)
        except httpx.InvalidURL as error:
            raise InputError("URL: is none; expected https://HOST[:PORT]") from error
        try:
            proxy = httpx.Proxy(self.proxy) if self.proxy else None
        except (ValueError, httpx.InvalidURL) as error:
            raise InputError("proxy: is no URL; expected http://HOST:PORT") from error
        return {
            "base_url": self.address.url,
            "verify": self._trust(),
            "headers": headers,
            "proxy": proxy,
            "trust_env": not self.address.loopback,
            "follow_redirects": False,
            "limits": httpx.Limits(max_connections=CONNECTIONS),
        }

    def _trust(self) -> ssl.SSLContext:
        """Raises InputError for files that hold no certificates."""
        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        place = self.ca
        try:
            if self.ca:
                _require_file(self.ca)
                context = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                place = self.certificate
                _require_file(place)
                context.load_cert_chain(self.certificate)
        except (OSError, FileFormatError, ssl.SSLError) as error:
            raise InputError(f"{place}: cannot be read as certificates in PEM ({type(error).__name__})") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _require_file(path: Path) -> None:
    """Raise FileFormatError unless it is one: a pipe would be waited for."""
    with opened(path):
        pass


@dataclass(frozen=True)
class Certificate:
    """What the server showed, after it was verified. sha256: of the whole certificate."""

    subject: str
    issuer: str
    expires: str
    sha256: str


class Transport:
    """Performs conversations in the threads that call it."""

    def __init__(self, route: Route, sleep: Callable[[float], None] = time.sleep) -> None:
        self.certificate: Certificate | None = None
        self._host, self._sleep = route.address.host, sleep
        self._http = httpx.Client(**route.options())

    def run(self, steps: Steps[T]) -> T:
        """To the end of the conversation. Raises what it raises."""
        sent: Any = None
        error: Exception | None = None
        try:
            while True:
                step = steps.throw(error) if error else steps.send(sent)
                sent = error = None
                try:
                    match step:
                        case Ask():
                            sent = self._answer(step)
                        case Wait(seconds):
                            self._sleep(seconds)
                        case Do(work):
                            sent = work()
                except Exception as caught:
                    error = caught
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            steps.close()

    def close(self) -> None:
        self._http.close()

    def _answer(self, ask: Ask) -> Answer:
        content = ask.body.pieces() if ask.body and ask.body.size else None
        try:
            with self._http.stream(**_request(ask), content=content, extensions={"trace": _watched(ask)}) as response:
                self.certificate = self.certificate or _certificate(response)
                collected, began = bytearray(), time.monotonic()
                for piece in response.iter_raw():
                    collected += _bounded(piece, len(collected), ask, began)
                return _made(response, collected)
        except httpx.HTTPError as error:
            raise _meaning(error, self._host) from error


class AsyncTransport:
    """Performs conversations in an event loop, with work in threads."""

    def __init__(self, route: Route) -> None:
        self.certificate: Certificate | None = None
        self._host = route.address.host
        self._http = httpx.AsyncClient(**route.options())

    async def run(self, steps: Steps[T]) -> T:
        """As `Transport.run`."""
        sent: Any = None
        error: Exception | None = None
        try:
            while True:
                step = steps.throw(error) if error else steps.send(sent)
                sent = error = None
                try:
                    match step:
                        case Ask():
                            sent = await self._answer(step)
                        case Wait(seconds):
                            await asyncio.sleep(seconds)
                        case Do(work):
                            sent = await asyncio.to_thread(work)
                except Exception as caught:
                    error = caught
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            steps.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def _answer(self, ask: Ask) -> Answer:
        content = _threaded(ask) if ask.body and ask.body.size else None
        try:
            watch = _watched(ask)

            async def told(event: str, facts: dict[str, Any]) -> None:
                watch(event, facts)

            async with self._http.stream(**_request(ask), content=content, extensions={"trace": told}) as response:
                self.certificate = self.certificate or _certificate(response)
                collected, began = bytearray(), time.monotonic()
                async for piece in response.aiter_raw():
                    collected += _bounded(piece, len(collected), ask, began)
                return _made(response, collected)
        except httpx.HTTPError as error:
            raise _meaning(error, self._host) from error


async def _threaded(ask: Ask) -> AsyncIterator[bytes]:
    """The pieces of a body, read from the disk in a thread."""
    assert ask.body is not None
    pieces = ask.body.pieces()
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece


def _request(ask: Ask) -> dict[str, Any]:
    headers = dict(ask.headers)
    if ask.body is not None:
        headers["content-length"] = str(ask.body.size)  # so that it is not sent in chunks
    timeout = httpx.Timeout(ask.timeout_seconds, connect=CONNECT_SECONDS)
    return {"method": ask.method, "url": ask.path, "params": ask.params or None, "headers": headers, "timeout": timeout}


def _watched(ask: Ask) -> Callable[[str, dict[str, Any]], None]:
    """Hears what httpcore tells of a request, and sees to it that the head of its answer comes in time: each byte of
    it, and each interim answer, renews what a socket waits for.
    """

    def told(event: str, facts: dict[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            _limit(facts["return_value"])
        elif event.endswith(".receive_response_headers.started"):
            _UNTIL.set((time.monotonic() + SLOW_TIMEOUTS * ask.timeout_seconds, str(ask)))
        elif event.endswith((".receive_response_headers.complete", ".receive_response_headers.failed")):
            _UNTIL.set(_ALWAYS)

    return told


def _limit(stream: Any) -> None:
    read = stream.read

    def limited(*arguments: Any, **options: Any) -> Any:  # of an event loop: what it awaits
        until, asked = _UNTIL.get()
        if time.monotonic() > until:
            raise NetworkError(f"server: the head of its answer to {asked} does not end")
        return read(*arguments, **options)

    stream.read = limited


def _bounded(piece: bytes, there: int, ask: Ask, began: float) -> bytes:
    """began: when the answer did, by a clock that is never set."""
    there += len(piece)
    if there > ask.answer_bytes_max:
        raise NetworkError(f"server: its answer to {ask} is longer than the {ask.answer_bytes_max} bytes it can have")
    if time.monotonic() - began > SLOW_TIMEOUTS * ask.timeout_seconds + there / SLOWEST_BYTES:
        raise NetworkError(f"server: its answer to {ask} comes with fewer than {SLOWEST_BYTES} bytes a second")
    return piece


def _made(response: httpx.Response, content: bytearray) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(content))


def _certificate(response: httpx.Response) -> Certificate | None:
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("ssl_object") if stream else None
    if found is None or not (whole := found.getpeercert(True)):
        return None
    told: dict[str, Any] = found.getpeercert() or {}
    names = [value for kind, value in told.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    issuer = {name: value for part in told.get("issuer", ()) for name, value in part}
    return Certificate(
        ", ".join(names[:5]),
        issuer.get("commonName") or issuer.get("organizationName") or "",
        str(told.get("notAfter", "")),
        hashlib.sha256(whole).hexdigest(),
    )


def _meaning(error: httpx.HTTPError, host: str) -> Exception:
    """What is behind an error: a proxy, a certificate, somebody who speaks no TLS, or a cut line (which may heal)."""
    refusal = str(error)[:3] if isinstance(error, httpx.ProxyError) else ""
    if refusal.startswith("4") and refusal.isdecimal() and int(refusal) not in AGAIN:
        return NetworkError(
            f"proxy: refuses the way to {host} ({str(error)[:200]}); ask who runs it. If it wants a name and a "
            "password, give them with --proxy http://NAME:PASSWORD@HOST:PORT"
        )
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return CertificateError(
                f"{host}: its certificate is refused ({found.verify_message or 'not valid'}); nothing was sent. "
                "Ask the operator; if the certificate is from an authority of your own, give it with --ca"
            )
        if isinstance(found, ssl.SSLError) and found.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return NetworkError(f"{host}: speaks no TLS at this port; check the URL")
        found = found.__cause__ or found.__context__
    return Cut(f"{type(error).__name__}: {str(error)[:200]}")
