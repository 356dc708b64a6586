"""What servers answer, held against their description: every answer that a test gets of one, whoever asks."""

import json
import re
import warnings
from functools import cache
from types import SimpleNamespace
from urllib.parse import unquote

import httpx
from jsonschema import Draft202012Validator

from heclstm.service.http.app import HEADERS, make_routes
from heclstm.service.problems import CODES, MEDIA_TYPE

# What HTTP itself brings along, and what is added to all that comes from a route.
COMMON = {"date", "content-type", "content-length", "transfer-encoding", "connection"} | {
    name.decode() for name, _ in HEADERS
}
OTHERS = ("/operator", "/v1", "/v1/openapi.json")  # not part of the interface: a page, and the description itself
HEAD_CODES = ("bad-request", "request-timeout", "headers-too-large", "overloaded")  # before it is known for which path
ports: dict[int, bool] = {}  # of servers that run → whether their metrics are open


@cache
def description(metrics_open: bool = False) -> dict:
    """As such a server makes it, without one."""
    app = SimpleNamespace(config=SimpleNamespace(metrics_open=metrics_open))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Litestars want another class than older ones have
        return make_routes(app).openapi_schema.to_schema()


def check(schema: dict, method: str, path: str, status: int, headers: httpx.Headers, content: bytes | None) -> None:
    """Fails unless that answer is described. content: None if it has not been read."""
    place = f"{method} {path} → {status}"
    media = headers.get("content-type", "").partition(";")[0]
    if path in OTHERS:
        assert media == MEDIA_TYPE or status == 200, place
        return
    route = template(schema, path)
    operation = schema["paths"].get(route, {}).get(method.lower())
    if operation is None:
        check_other(place, route, method, status, headers, content)
        return
    assert str(status) in operation["responses"], f"{place}: is not described"
    answer = operation["responses"][str(status)]
    known, described = answer.get("headers", {}), answer.get("content", {})
    missing = [name for name, header in known.items() if header["required"] and name not in headers]
    assert not missing, f"{place}: lacks {missing}"
    more = set(headers) - COMMON - set(known)
    assert not more, f"{place}: {more} are not described"
    assert media in described if described else not media, f"{place}: {media} is not described"
    if content is not None and "json" in media:
        require_fitting(schema, described[media]["schema"], json.loads(content), place)


def check_other(place, route, method, status, headers, content) -> None:
    """Other paths and methods are answered as the description tells at its top."""
    if method == "OPTIONS" and route is not None and status == 204:
        assert "allow" not in headers, place
        return
    assert headers.get("content-type") == MEDIA_TYPE, place
    usual = ("no-such-route", "bad-request") if route is None else ("method-not-allowed",)
    usual += ("unauthorized", "rate-limited") if method == "OPTIONS" and route is not None else ()
    expected = [each for each in (*usual, *HEAD_CODES) if CODES[each].status == status]
    assert expected, place
    assert not content or json.loads(content)["code"] in expected, (place, content)
    assert status != 405 or "allow" in headers, place


def template(schema: dict, path: str) -> str | None:
    """The path as the description spells it. %2f is a slash, and several are one, as the server reads them."""
    parts = [part for part in unquote(path).split("/") if part]

    def fits(pattern: str) -> bool:
        names = pattern.strip("/").split("/")
        return len(names) == len(parts) and all(
            name.startswith("{") or name == part for name, part in zip(names, parts, strict=True)
        )

    return next((each for each in schema["paths"] if fits(each)), None)


def require_fitting(schema: dict, wanted: dict, document, place: str) -> None:
    """Of its schema, and without a field that this does not name."""
    problems = [error.message for error in validator(json.dumps([wanted, schema["components"]])).iter_errors(document)]
    assert not problems, f"{place}: {problems}"
    named = fields(schema, wanted)
    assert not named or set(document) <= named, f"{place}: {set(document) - named} are not described"


@cache
def validator(text: str) -> Draft202012Validator:
    wanted, components = json.loads(text)
    return Draft202012Validator({**wanted, "components": components})


def fields(schema: dict, wanted: dict) -> set[str]:
    if "$ref" in wanted:
        return fields(schema, schema["components"]["schemas"][wanted["$ref"].rpartition("/")[2]])
    return set(wanted.get("properties", ())).union(*(fields(schema, each) for each in wanted.get("allOf", ())))


def check_response(response: httpx.Response) -> None:
    """Of any client, if it asked one of the servers."""
    request = response.request
    if request.url.port in ports:
        try:
            content = response.content
        except httpx.ResponseNotRead:
            content = None
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        schema = description(ports[request.url.port])
        check(schema, request.method, path, response.status_code, response.headers, content)


def check_bytes(request: bytes, answer: bytes) -> None:
    """What came of a socket. request: its method and path may be none."""
    head, there, content = answer.partition(b"\r\n\r\n")
    if there:
        first, *lines = head.decode("ascii").split("\r\n")
        headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])
        asked = re.match(rb"([A-Z]+) (/[^ ?]*)\S* HTTP/1\.1\r\n", request)
        method, path = (each.decode("latin-1") for each in asked.groups()) if asked else ("GET", "/nothing")
        check(description(), method, path, int(first.split()[1]), headers, content)


def watch(patch) -> None:
    """Check all that httpx gets, from here on. patch: pytest's monkeypatch."""
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def sent(self, request, **options):
        response = send(self, request, **options)
        check_response(response)
        return response

    async def sent_async(self, request, **options):
        response = await send_async(self, request, **options)
        check_response(response)
        return response

    patch.setattr(httpx.Client, "send", sent)
    patch.setattr(httpx.AsyncClient, "send", sent_async)
