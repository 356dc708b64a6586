"""The way to a server: where it is, what it shows, keys; and the passphrase of a sealed one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heclstm.deploy.keys import evaluation_key_blobs
from heclstm.errors import HeclstmError, InputError
from heclstm.network.site import OWNER, Site, make_private
from heclstm.network.trust import Wish
from heclstm.page.desk import Desk
from heclstm.page.routes import Fields, desk_of, page, to
from heclstm.storage.atomic import save_file
from heclstm.templates.language import gettext, marked
from heclstm.templates.retold import retold
from heclstm.usecases.connect import look as look_at

PASSPHRASE_MIN = 8


def setup(request: Request) -> Response:
    desk = desk_of(request)
    if desk.setting_up is not None and desk.setting_up.state == "running":
        return to("/setup/keys")
    return _form(request, {})


def look(request: Request, fields: Fields) -> Response:
    """Ask the server, and write nothing down but the certificates that were given."""
    desk = desk_of(request)
    try:
        wish = _wish(desk, fields)
        desk.offer = (wish, look_at(wish))
    except (HeclstmError, OSError) as error:
        return _form(request, fields, retold(str(error)))
    return to("/setup/offer")


def offer(request: Request) -> Response:
    return _offer(request, "")


def make_keys(request: Request, fields: Fields) -> Response:
    desk = desk_of(request)
    if desk.offer is None:
        return to("/setup")
    passphrase = fields.get("passphrase", "")
    if passphrase != fields.get("again", ""):
        return _offer(request, gettext("The two passphrases differ."))
    if passphrase and len(passphrase) < PASSPHRASE_MIN:
        return _offer(request, gettext("A passphrase has at least 8 characters; leave both fields empty for none."))
    if desk.setting_up is None or desk.setting_up.state != "running":
        wish, found = desk.offer
        desk.set_up(replace(wish, program=found.card.digest), passphrase or None)  # the very program that was shown
    return to("/setup/keys")


def keys(request: Request) -> Response:
    desk = desk_of(request)
    if desk.setting_up is None:
        return to("/setup")
    return page(
        request,
        "keys.html",
        title=gettext("Set up"),
        progress=desk.setting_up.to_json(),
        address="/setup/progress",
        failed=retold(desk.setting_up.problem),
    )


def progress(request: Request) -> Response:
    found = desk_of(request).setting_up
    return JSONResponse(found.to_json() if found else {"state": "done"})


def unlock(request: Request) -> Response:
    study = request.query_params.get("study", "")[:32]
    return page(request, "unlock.html", title=gettext("Unlock"), study=study)


def open_key(request: Request, fields: Fields) -> Response:
    try:
        desk_of(request).unlock(fields.get("passphrase", ""))
    except InputError as error:
        return page(
            request,
            "unlock.html",
            422,
            title=gettext("Unlock"),
            alert=retold(str(error)),
            study=fields.get("study", ""),
        )
    return to(f"/studies/{study}" if (study := fields.get("study", "")).isalnum() else "/")


def _form(request: Request, fields: Fields, alert: str = "") -> Response:
    desk = desk_of(request)
    url = Site.load(desk.folder).state.url if Site.exists(desk.folder) else ""
    values = {"url": fields.get("url", url), "ca": fields.get("ca", ""), "owner": fields.get("owner", "")}
    return page(
        request, "setup.html", 422 if alert else 200, title=gettext("Set up"), values=values, alert=alert,
        connected=bool(url), folder=str(desk.folder.absolute()),
    )  # fmt: skip


def _offer(request: Request, alert: str) -> Response:
    desk = desk_of(request)
    if desk.offer is None:
        return to("/setup")
    wish, found = desk.offer
    card = found.card
    facts: dict[str, Any] = {
        "url": wish.url,
        "model": card.model,
        "digest": card.digest,
        "security": card.parameters.security,
        "key_bytes": sum(size for _, size in evaluation_key_blobs(card)),
        "frames": card.result_layout.steps,
    }
    return page(
        request, "offer.html", 422 if alert else 200, title=gettext("Is this the right server?"), alert=alert,
        certificate=found.certificate, vouched=found.vouched, warnings=card.warnings, facts=facts,
    )  # fmt: skip


def _wish(desk: Desk, fields: Fields) -> Wish:
    """Raises InputError."""
    files = {"ca": None, "trust": None}
    for name, field, file in (("ca", "ca", "ca.pem"), ("trust", "owner", OWNER)):
        text = fields.get(field, "")
        if not text:
            continue
        if not re.match(r"-----BEGIN (CERTIFICATE|PUBLIC KEY)-----", text):
            raise InputError(marked("A certificate or public key begins with -----BEGIN; choose the file again."))
        folder = desk.records.given
        make_private(desk.records.folder)
        make_private(folder)
        save_file(folder / file, text + "\n", 0o600)
        files[name] = folder / file  # type: ignore[assignment]
    token = "".join(fields.get("token", "").split())
    return Wish(
        fields.get("url", ""), desk.folder, token, fields.get("program", ""), files["trust"], files["ca"],
        allow_insecure=desk.options["allow_insecure"],
    )  # fmt: skip
