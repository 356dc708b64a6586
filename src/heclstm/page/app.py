"""The routes of the workstation, and what is answered when something goes wrong."""

from __future__ import annotations

from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heclstm.errors import HeclstmError
from heclstm.page import history, setup, status, studies
from heclstm.page.desk import Desk
from heclstm.page.routes import Endpoint, Fields, Missing, desk_of, page, posted, shown, to
from heclstm.page.session import LANGUAGE
from heclstm.templates.language import LANGUAGES, gettext
from heclstm.templates.retold import retold

ASSETS = {
    "style.css": ("heclstm.templates", "shared/style.css", "text/css"),
    "page.css": ("heclstm.page", "static/page.css", "text/css"),
    "page.js": ("heclstm.page", "static/page.js", "text/javascript"),
    "icon.svg": ("heclstm.page", "static/icon.svg", "image/svg+xml"),
}
LOOKED_AT: dict[str, Endpoint] = {
    "/": shown(studies.home),
    "/studies/{id}": shown(studies.study),
    "/studies/{id}/progress": shown(studies.progress),
    "/studies/{id}/export/{kind}": shown(studies.export),
    "/history": shown(history.history),
    "/history.csv": shown(history.export),
    "/compare": shown(history.compare),
    "/setup": shown(setup.setup),
    "/setup/offer": shown(setup.offer),
    "/setup/keys": shown(setup.keys),
    "/setup/progress": shown(setup.progress),
    "/unlock": shown(setup.unlock),
    "/status": shown(status.status),
}
DONE: dict[str, Endpoint] = {
    "/studies": shown(studies.begin),
    "/studies/{id}/choose": posted(studies.choose),
    "/studies/{id}/start": posted(studies.start),
    "/studies/{id}/go-on": posted(studies.go_on),
    "/studies/{id}/cancel": posted(studies.cancel),
    "/studies/{id}/keep": posted(studies.keep),
    "/studies/{id}/erase": posted(studies.erase),
    "/history": posted(history.search),
    "/setup": posted(setup.look),
    "/setup/keys": posted(setup.make_keys),
    "/unlock": posted(setup.open_key),
    "/status": posted(status.ask),
}


def make_app(desk: Desk) -> Starlette:
    made = Starlette(
        routes=[
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in LOOKED_AT.items()),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in DONE.items()),
            Route("/studies/{id}/files", studies.receive, methods=["PUT"]),
            Route("/language", posted(_speak), methods=["POST"]),
            Route("/quit", posted(_quit), methods=["POST"]),
            Route("/static/{name}", shown(_asset), methods=["GET"]),
        ],
        exception_handlers={HeclstmError: _refused, HTTPException: _http, Exception: _mistake},
    )
    made.state.desk = desk
    return made


def _asset(request: Request) -> Response:
    if (found := ASSETS.get(request.path_params["name"])) is None:
        raise HTTPException(404)
    room, path, kind = found
    return Response(files(room).joinpath(path).read_bytes(), media_type=kind)


def _speak(request: Request, fields: Fields) -> Response:
    answer = to("/")
    if (code := fields.get("language", "")) in LANGUAGES:
        answer.set_cookie(LANGUAGE, code, max_age=365 * 86400, httponly=True, samesite="strict")
    return answer


def _quit(request: Request, fields: Fields) -> Response:
    desk_of(request).on_quit()
    return page(
        request,
        "problem.html",
        title=gettext("Ended"),
        text=gettext("The workstation has ended. You may close this window."),
    )


def _refused(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, Missing) else 422
    return page(request, "problem.html", status, title=gettext("This did not work"), text=retold(str(error)))


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = gettext("There is nothing at this address.") if status == 404 else gettext("This cannot be done so.")
    return page(request, "problem.html", status, title=gettext("This did not work"), text=text)


def _mistake(request: Request, error: Exception) -> Response:
    text = gettext("The workstation made a mistake; the terminal tells which. Nothing was sent that you did not start.")
    return page(request, "problem.html", 500, title=gettext("This did not work"), text=text)
