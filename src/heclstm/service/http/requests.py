"""What every guarded route does first, and what its answers are made of."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from heclstm.service.app_state import App
from heclstm.service.identity import CONNECTION, Identity
from heclstm.service.logs import log
from heclstm.service.problems import MEDIA_TYPE, Problem

Asked = Request[Any, Any, Any]
ASK_FOR_PASSWORD = 'Basic realm="heclstm operator: the token is the password", charset="UTF-8"'
_LOG = log("http")
FAILURES_PER_SECOND = 5.0  # of one address, without a valid token


def app_of(connection: ASGIConnection[Any, Any, Any, Any]) -> App:
    found = connection.app.state.service
    assert isinstance(found, App)
    return found


def identity_of(request: Asked) -> Identity:
    found = request.scope["state"]["identity"]
    assert isinstance(found, Identity)
    return found


async def require_identity(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: who asks, whether so often, and whether for this. Raises Problem."""
    app = app_of(connection)
    address = connection.client.host if connection.client else ""
    headers = {name.lower(): value for name, value in connection.headers.items()}
    if handler.opt.get("for_browsers"):
        headers["authorization"] = _bearer_of(headers.get("authorization", ""))
    below: Any = (connection.scope.get("extensions") or {}).get(CONNECTION, {})
    certificate, peer = below.get("certificate"), below.get("peer", "")
    try:
        identity = await asyncio.to_thread(app.identities.identify, headers, certificate, peer)
    except Problem as problem:
        app.rates.take(f"address {address}", FAILURES_PER_SECOND)
        if handler.opt.get("for_browsers"):
            problem.headers["www-authenticate"] = ASK_FOR_PASSWORD
        raise
    connection.scope["state"]["identity"] = identity
    app.rates.take(f"tenant {identity.tenant}", app.config.quotas_of(identity.tenant).requests_per_second)
    scope = handler.opt.get("scope")  # the framework's own answer to OPTIONS has none
    if scope is not None and scope not in identity.scopes:
        raise Problem("forbidden", f"token: has not the scope {scope!r}; ask for one that has")
    if app.draining and handler.opt.get("begins"):
        raise Problem("draining", "the server is being stopped; try again in a moment", retry_after_seconds=5)


def _bearer_of(authorization: str) -> str:
    """Browsers ask for a name and a password: the password is the token, whatever the name."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        return "Bearer " + b64decode(text, validate=True).decode("ascii").partition(":")[2]
    except ValueError:
        return ""


def note_secret_key(app: App, identity: Identity, **facts: str) -> None:
    """That one was sent. Who sent it is told in any case."""
    try:
        app.audit.write("secret key sent", identity.tenant, **facts, by=identity.by)
    except OSError as error:
        _LOG.error("a secret key was sent, which cannot be noted", tenant=identity.tenant, error=type(error).__name__)


def problem_response(problem: Problem) -> Response[Any]:
    return Response(problem.details(), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)
