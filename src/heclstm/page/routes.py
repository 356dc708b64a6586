"""What all routes share: pages, forms within limits, answers to what goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from heclstm.errors import InputError
from heclstm.page.desk import Desk
from heclstm.page.guard import FORM_BYTES_MAX
from heclstm.page.records import Record
from heclstm.page.rendering import render
from heclstm.templates.language import LANGUAGES, gettext, marked

Fields = dict[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]


class Missing(InputError):
    """There is no such study, or it was erased."""


def desk_of(request: Request) -> Desk:
    found = request.app.state.desk
    assert isinstance(found, Desk)
    return found


def record_of(request: Request) -> Record:
    """Raises Missing."""
    record = desk_of(request).records.get(request.path_params["id"])
    if record is None:
        raise Missing(marked("This study is not here: it was erased, or never was."))
    return record


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """title and all that the template places."""
    common = {"nonce": request.state.nonce, "ready": desk_of(request).ready, "languages": LANGUAGES, "alert": ""}
    return HTMLResponse(render(template, **(common | values)), status)


def to(place: str) -> Response:
    """Afterwards, so that a page that is loaded again does nothing again."""
    return RedirectResponse(place, 303)


def shown(work: Callable[[Request], Response]) -> Endpoint:
    """A route that only looks, in a thread."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(work, request)

    return endpoint


def posted(work: Callable[[Request, Fields], Response]) -> Endpoint:
    """A route that takes a form, in a thread. Of a name that stands in it often, the last is taken."""

    async def endpoint(request: Request) -> Response:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > FORM_BYTES_MAX:
                return page(
                    request, "problem.html", 413, title=gettext("Too large"), text=gettext("This form is too large.")
                )
        pairs = parse_qsl(body.decode("utf-8", errors="replace"), keep_blank_values=True, max_num_fields=1000)
        fields = {name: value.strip() for name, value in pairs}
        return await run_in_threadpool(work, request, fields)

    return endpoint
