"""The ASGI application: routes, and what is done around every one of them."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from heclstm.errors import HeclstmError
from heclstm.service.app_state import App
from heclstm.service.database.connection import Unavailable
from heclstm.service.http import health, jobs, keys, openapi, operator, programs
from heclstm.service.http.requests import Asked, problem_response
from heclstm.service.limits import Gone
from heclstm.service.logs import log
from heclstm.service.problems import Problem, problem_of, storage_full

_LOG = log("http")
# Answers are for programs: nothing of them is a page, is kept by proxies, or may be framed.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
UNTRUE = ((204, b"allow"),)  # of the framework's answer to OPTIONS, which names some of the methods


def make_app(app: App) -> ASGIApp:
    return Around(make_routes(app), app)


def make_routes(app: App) -> Litestar:
    metrics = health.open_metrics if app.config.metrics_open else health.metrics
    routes: list[Any] = [programs.router, keys.router, jobs.router, health.healthz, health.readyz, metrics]
    routes.append(operator.page)
    return Litestar(
        routes,
        state=State({"service": app}),
        exception_handlers={
            Problem: _problem,
            HTTPException: _http,
            HeclstmError: _typed,
            OSError: _typed,
            Exception: _mistake,
            **dict.fromkeys(Unavailable, _unavailable),
        },
        openapi_config=openapi.config(version("heclstm")),
        logging_config=None,
        pdb_on_exception=False,
        debug=False,
    )


class Around:
    """Counts, logs, adds headers. Only the pattern of a path is told, for the path itself is what a client typed."""

    def __init__(self, inner: ASGIApp, app: App) -> None:
        self._inner, self._app = inner, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = [each for each in message["headers"] if (status, each[0]) not in UNTRUE]
                own = {name for name, _ in given}
                message["headers"] = [*given, *(each for each in HEADERS if each[0] not in own)]
            await send(message)

        try:
            await self._inner(scope, receive, sent)
        finally:
            self._count(scope, status, time.perf_counter() - begin)

    def _count(self, scope: HTTPScope, status: int, seconds: float) -> None:
        route = str(scope.get("path_template") or "none")
        identity = scope.get("state", {}).get("identity")
        metrics = self._app.metrics
        metrics.requests.labels(route, scope["method"], str(status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        if route not in ("/healthz", "/readyz", "/metrics"):
            _LOG.info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(1000 * seconds, 1),
                tenant=identity.tenant if identity else None,
            )


def _problem(_: Asked, error: Problem) -> Response[Any]:
    return problem_response(error)


def _typed(request: Asked, error: Exception) -> Response[Any]:
    try:
        return problem_response(storage_full(error) or problem_of(error))
    except Exception as unknown:
        return _mistake(request, unknown)


def _unavailable(_: Asked, error: Exception) -> Response[Any]:
    if (full := storage_full(error)) is not None:
        return problem_response(full)
    _LOG.error("the database does not answer", error=type(error).__name__)
    detail = "the database of the server does not answer; send the same request again in a moment"
    return problem_response(Problem("database-unavailable", detail, retry_after_seconds=2))


def _mistake(_: Asked, error: Exception) -> Response[Any]:
    if isinstance(error, Gone):
        return Response(b"", status_code=499, media_type="text/plain")  # nobody reads it
    _LOG.exception("a mistake of ours", error=type(error).__name__)
    return problem_response(Problem("internal", "the server made a mistake; its operator finds it in the log"))


def _http(_: Asked, error: HTTPException) -> Response[Any]:
    """What the framework refuses with: no such route, no such method, parameters that are none."""
    codes = {
        404: ("no-such-route", "GET /v1/openapi.json lists all routes"),
        405: ("method-not-allowed", "GET /v1/openapi.json lists the methods of all routes"),
    }
    code, detail = codes.get(error.status_code, ("bad-request", _reason(error)))
    if error.status_code >= 500:
        return _mistake(_, error)
    return problem_response(Problem(code, detail, headers=dict(error.headers or {})))


def _reason(error: HTTPException) -> str:
    """Which parameter, and why; not what was sent."""
    extra = error.extra if isinstance(error.extra, list) else []
    named = [f"{each.get('key', 'request')}: {each.get('message', '')}" for each in extra if isinstance(each, dict)]
    return "; ".join(named) or "a parameter, header or the path is not as GET /v1/openapi.json describes it"
