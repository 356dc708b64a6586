"""Requests over HTTP inside the hospital: no proxy, no redirection, no more of an answer than is expected."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANSWER_BYTES_MAX = 8 << 20
# URLError is an OSError; what is no JSON a ValueError, or stands too deep.
FAILURES = (OSError, ValueError, RecursionError, http.client.HTTPException)


@dataclass(frozen=True, repr=False)
class Answer:
    status: int
    content: bytes


class Web:
    """authorization: the whole header, or "" for none."""

    def __init__(self, authorization: str = "", context: ssl.SSLContext | None = None) -> None:
        handlers: list[Any] = [urllib.request.ProxyHandler({}), _Stay()]
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._headers = {"Authorization": authorization} if authorization else {}

    def ask(
        self, url: str, content: bytes | None = None, headers: Mapping[str, str] | None = None, *, seconds: float
    ) -> Answer:
        """GET, or POST of some content. Any status is an answer. Raises one of FAILURES if there is none."""
        request = urllib.request.Request(url, content, {**self._headers, **(headers or {})})
        try:
            with self._opener.open(request, timeout=seconds) as found:
                return Answer(found.status, found.read(ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(ANSWER_BYTES_MAX))


def basic(user: str, password: str) -> str:
    """The header of a name and a password; "" without a name."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""


class _Stay(urllib.request.HTTPRedirectHandler):
    """A name and a password go where they were meant to, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None
