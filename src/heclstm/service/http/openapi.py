"""How the routes describe themselves: who may ask, with what, what is answered with which headers, which problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from litestar import MediaType, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    Contact,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from heclstm.service.identity import USER_SCOPES
from heclstm.service.problems import CODES, MEDIA_TYPE, ProblemDetails

BYTES = "application/octet-stream"
FROM_ZERO = {"minimum": 0}  # Litestar leaves out a limit that is 0
EVERYWHERE = ("bad-request", "request-timeout", "headers-too-large", "internal", "overloaded")
GUARDED = (*EVERYWHERE, "database-unavailable", "rate-limited", "unauthorized", "forbidden")
HEADERS = {
    "cache-control": "`no-store`",
    "etag": "The digest of the program, in quotes",
    "link": "`rel=successor-version`: the program to use instead, where the operator has named one",
    "location": "The path of the job",
    "retry-after": "Seconds, after which it may be asked again",
    "upload-offset": "How many bytes have arrived: the rest begins there",
    "www-authenticate": "Which kind of authorization is missing",
    "x-accel-buffering": "`no`, for proxies",
}


def described(
    *codes: str,
    scope: str = "",
    headers: Iterable[str] = (),
    perhaps: Iterable[str] = (),
    also: Mapping[int, str] | None = None,
    body: str = "",
    **opt: Any,
) -> dict[str, Any]:
    """What a route is declared with. codes: of its problems. scope: that a token needs for it; none for routes that all
    may ask. headers: of its answers other than problems, always there; perhaps: not always. also: further statuses
    with the same answer as its usual one, and when they come. body: what it takes. opt: for the guard.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            assert self.responses is not None
            self.summary, _, rest = (self.description or "").partition("\n")
            self.description = rest.strip() or None
            usual = next(iter(self.responses.values()))
            assert isinstance(usual, OpenAPIResponse)
            usual.headers = {**_headers(headers, required=True), **_headers(perhaps, required=False)}
            for status, when in (also or {}).items():
                self.responses[str(status)] = answer = copy(usual)
                answer.description = when
            for status, names in _by_status(codes).items():
                problem = self.responses[str(status)]
                assert isinstance(problem, OpenAPIResponse)
                _describe_problem(problem, names)
            if body:
                schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
                media = {BYTES: OpenAPIMediaType(schema=schema)}
                self.request_body = RequestBody(media, description=body, required=True)

    found: dict[str, Any] = {"operation_class": Described, "responses": _problems(codes)}
    if scope:
        found["opt"] = {"scope": scope, **opt}
        found["security"] = [{"bearer": [scope]}]
        if scope in USER_SCOPES:
            found["security"].append({"certificate": [scope]})
    return found


def _by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(CODES[code].status, []).append(code)
    return found


def _problems(codes: Iterable[str]) -> dict[int, ResponseSpec]:
    return {
        status: ResponseSpec(
            ProblemDetails,
            description=f"{HTTPStatus(status).phrase}: " + ", ".join(names),
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status, names in _by_status(codes).items()
    }


def _describe_problem(response: OpenAPIResponse, codes: list[str]) -> None:
    """Which codes it can have, and its headers: of some of them always there, of others never."""
    assert response.content is not None
    media = response.content[MEDIA_TYPE]
    own = Schema(properties={"code": Schema(enum=codes)})
    media.schema = Schema(all_of=[media.schema, own])  # type: ignore[list-item]  # never without one
    names = dict.fromkeys(name for code in codes for name in CODES[code].headers)
    response.headers = {}
    for name in names:
        response.headers |= _headers([name], required=all(name in CODES[code].headers for code in codes))


def _headers(names: Iterable[str], *, required: bool) -> dict[str, Any]:
    def header(name: str) -> OpenAPIHeader:
        schema = Schema(type=OpenAPIType.INTEGER if name in ("retry-after", "upload-offset") else OpenAPIType.STRING)
        return OpenAPIHeader(schema=schema, description=HEADERS[name], required=required)

    return {name: header(name) for name in names}


class JsonAlone(Router):
    """Of the document. Litestar would answer with a page of HTML whatever else is asked for below its path."""

    def register(self, value: Any) -> Any:
        return [] if getattr(value, "media_type", None) is MediaType.HTML else super().register(value)


def config(version: str) -> OpenAPIConfig:
    bearer = SecurityScheme(
        type="http",
        scheme="bearer",
        description="A token from `heclstm token create`, or one of the identity provider that the operator has named. "
        "What stands behind the scheme is the scope that it needs",
    )
    certificate = SecurityScheme(
        type="mutualTLS", description="A client certificate that the operator has entered for a tenant"
    )
    return OpenAPIConfig(
        title="heclstm",
        version=version,
        summary="Diagnoses from encrypted sequences of medical images",
        description="Errors are problem details (RFC 9457); docs/errors.md explains each code. This document is what "
        "`/v1` and `/v1/openapi.json` answer. Other paths are answered by 404 `no-such-route`, other methods by 405 "
        "`method-not-allowed` with `allow`, OPTIONS by 204 to who may ask there. A head that is too large, too slow or "
        "no HTTP is refused before it is known for which path it is.",
        contact=Contact(name="The operator of this server"),
        openapi_router=JsonAlone("/v1", route_handlers=[], include_in_schema=False),
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(security_schemes={"bearer": bearer, "certificate": certificate}),
        use_handler_docstrings=True,
        create_examples=False,
    )
