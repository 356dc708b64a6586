"""One person at one browser: by a link that works once, and then by a cookie."""

from __future__ import annotations

import hmac
import secrets
import threading
from http.cookies import CookieError, SimpleCookie

COOKIE = "heclstm-session"
LANGUAGE = "heclstm-language"


class Session:
    """Nothing of it is written down; a restart asks for a new link."""

    def __init__(self) -> None:
        self.ticket = secrets.token_urlsafe(32)
        self._secret = secrets.token_urlsafe(32)
        self._used = False
        self._lock = threading.Lock()

    def begin(self, ticket: str) -> str | None:
        """The cookie for whoever brings the ticket first; None for all others."""
        with self._lock:
            right = hmac.compare_digest(ticket.encode(), self.ticket.encode())
            if self._used or not right:
                return None
            self._used = True
        return f"{COOKIE}={self._secret}; Path=/; HttpOnly; SameSite=Strict"

    def knows(self, cookie: str) -> bool:
        found = value_of(cookie, COOKIE)
        return hmac.compare_digest(found.encode(), self._secret.encode())


def value_of(cookie: str, name: str) -> str:
    """Of a Cookie header; empty where it is not in it."""
    try:
        found = SimpleCookie(cookie).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
