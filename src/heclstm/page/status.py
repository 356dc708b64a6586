"""The connection: program, keys, what is under way; and what the server says, when it is asked."""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from heclstm.deploy.keys import query_blobs
from heclstm.errors import HeclstmError
from heclstm.network import calls
from heclstm.network.patience import Patience
from heclstm.network.transport import Transport
from heclstm.page.routes import Fields, desk_of, page, to
from heclstm.templates.language import gettext, said
from heclstm.templates.retold import retold
from heclstm.templates.units import size

IMPATIENT = Patience(tries=1)


def status(request: Request) -> Response:
    return _page(request, [])


def ask(request: Request, fields: Fields) -> Response:
    """At the server, by a connection of its own, whose certificate is shown."""
    site = desk_of(request).remote.hospital.site
    rows: list[tuple[str, str]] = []
    try:
        with closing(Transport(site.route())) as transport:
            found = transport.run(calls.key_status(site.state.key or "", IMPATIENT))
            shown = transport.certificate
    except HeclstmError as error:
        rows.append((gettext("The server"), retold(str(error))))
    else:
        rows.append((gettext("The server"), gettext("answers")))
        state = gettext("ready") if found and found.state == "ready" else gettext("not there; they are sent again")
        rows.append((gettext("Public keys at the server"), state))
        if found and found.expires:
            rows.append((gettext("They are erased there, unless used before"), found.expires[:10]))
        if shown is not None:
            words = said(
                "of {names}, by {issuer}, until {day}", names=shown.subject, issuer=shown.issuer, day=shown.expires
            )
            rows.append((gettext("Certificate"), words))
    return _page(request, rows)


def _page(request: Request, asked: list[tuple[str, str]]) -> Response:
    desk = desk_of(request)
    if not desk.ready:
        return to("/setup")
    site = desk.remote.hospital.site
    card, state = site.card(), site.state
    key = state.keys[state.key or ""]
    yes, no = gettext("yes"), gettext("no")
    security = card.parameters.security
    made, folder = key.made[:10], str(site.folder.absolute())
    rows: list[tuple[str, Any]] = [
        (gettext("Server"), state.url),
        (gettext("Model"), card.model.called),
        (gettext("Program"), card.digest),
        (gettext("Security"), said("{bits} bits", bits=security) if security.isdecimal() else security),
        (gettext("Secret key"), said("made on {day}; it stays in {folder}", day=made, folder=folder)),
        (gettext("Its label"), state.key),
        (gettext("Sealed by a passphrase"), yes if site.seals else no),
        (gettext("Earlier keys that are still here"), str(len(state.keys) - 1)),
        (gettext("A study that is sent has"), size(sum(length for _, length in query_blobs(card)))),
        (gettext("Version"), version("heclstm")),
    ]
    known = {each.query for each in desk.records.all()}
    strange = [each for each in desk.remote.hospital.pending.all() if each.query not in known]
    return page(
        request,
        "status.html",
        title=gettext("Status"),
        rows=rows,
        asked=asked,
        strange=len(strange),
        warnings=card.warnings,
    )
