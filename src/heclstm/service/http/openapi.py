"""How the routes describe themselves: bodies of bytes, and the problems that each can answer with."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    Contact,
    OpenAPIMediaType,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from heclstm.service.problems import CODES, MEDIA_TYPE, ProblemDetails

BYTES = "application/octet-stream"
EVERYWHERE = ("bad-request", "rate-limited", "internal", "database-unavailable", "overloaded", "request-timeout")
GUARDED = (*EVERYWHERE, "unauthorized", "forbidden")


def problems(*codes: str) -> dict[int, ResponseSpec]:
    """Status → the problems of these codes."""
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(CODES[code].status, []).append(code)
    return {
        status: ResponseSpec(
            ProblemDetails,
            description=f"{HTTPStatus(status).phrase}: " + ", ".join(names),
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status, names in found.items()
    }


def _bytes_body(description: str) -> RequestBody:
    schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
    return RequestBody({BYTES: OpenAPIMediaType(schema=schema)}, description=description, required=True)


@dataclass
class KeysBody(Operation):
    def __post_init__(self) -> None:
        self.request_body = _bytes_body("evaluation.keys as `heclstm keygen` wrote it, or the rest of it")


@dataclass
class QueriesBody(Operation):
    def __post_init__(self) -> None:
        self.request_body = _bytes_body("One query as `heclstm encrypt` wrote it, or several, one after another")


def config(version: str) -> OpenAPIConfig:
    scheme = SecurityScheme(type="http", scheme="bearer", description="A token from `heclstm token create`")
    return OpenAPIConfig(
        title="heclstm",
        version=version,
        summary="Diagnoses from encrypted sequences of medical images",
        description="Errors are problem details (RFC 9457); docs/errors.md explains each code.",
        contact=Contact(name="The operator of this server"),
        path="/v1",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(security_schemes={"bearer": scheme}),
        use_handler_docstrings=True,
        create_examples=False,
    )
