"""Who may speak to the page: this machine, this name, this origin, with its own cookie. Around each route.

A page of a stranger in the same browser cannot read ours (it has another origin), cannot send to it (Origin), and
cannot make its own name point here (Host: DNS rebinding). Another user of this machine can connect, and has no session.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heclstm.page.rendering import render
from heclstm.page.session import LANGUAGE, Session, value_of
from heclstm.templates.language import LANGUAGES, gettext, marked, speaking

FORM_BYTES_MAX = 256 << 10
START = "/start"
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",  # no-referrer would take the Origin from forms
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HOST = marked("This address is not the one that the workstation was opened at. Use the link in the terminal.")
_ORIGIN = marked("This came from another page than ours, and nothing was done.")
_SESSION = marked(
    "This browser has no session here. Open the link that the terminal shows; after a restart there is a new one."
)
_USED = marked(
    "This link was used already, or is another one. If it was not you who used it, end the workstation (Ctrl+C) and "
    "start it again: there is a new link then."
)


class Guard:
    def __init__(self, inner: ASGIApp, host: str, session: Session, language: str = "") -> None:
        """host: as browsers send it, with its port. language: of who has not chosen one; else that of the browser."""
        self._inner, self._host, self._session, self._language = inner, host, session, language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # neither sockets nor a lifespan
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = HEADERS | {"content-security-policy": POLICY.format(nonce=nonce)}
                message["headers"] = [*message["headers"], *((n.encode(), v.encode()) for n, v in own.items())]
            await send(message)

        with speaking(self._speech(headers)):
            status, text, more = self._answer(scope, headers)
            if status:
                await _said(sent, status, text, more)
            else:
                await self._inner(scope, receive, sent)

    def _answer(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, list[Any]]:
        """(0, "", []) for what may pass."""
        if headers.get("host") != self._host:
            return 421, render("refused.html", text=gettext(_HOST)), []
        own = f"http://{self._host}"
        safe = scope["method"] in ("GET", "HEAD")
        if (not safe and headers.get("origin") != own) or headers.get("origin", own) != own:
            return 403, render("refused.html", text=gettext(_ORIGIN)), []
        if scope["path"] == START:
            cookie = self._session.begin(parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0])
            if cookie is not None:
                return 200, render("started.html"), [(b"set-cookie", cookie.encode())]
            if not self._session.knows(headers.get("cookie", "")):
                return 403, render("refused.html", text=gettext(_USED)), []
            return 200, render("started.html"), []
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, render("refused.html", text=gettext(_ORIGIN)), []
        if not self._session.knows(headers.get("cookie", "")):
            return 403, render("refused.html", text=gettext(_SESSION)), []
        return 0, "", []

    def _speech(self, headers: dict[str, str]) -> str:
        chosen = value_of(headers.get("cookie", ""), LANGUAGE) or self._language
        if chosen in LANGUAGES:
            return chosen
        asked = [part.split(";")[0].strip()[:2].lower() for part in headers.get("accept-language", "").split(",")]
        return next((code for code in asked if code in LANGUAGES), "en")


async def _said(send: Send, status: int, text: str, more: list[Any]) -> None:
    content = text.encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(content)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
