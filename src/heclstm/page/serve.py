"""The workstation as a process: an address of this machine alone, a link for one person, until it is ended."""

from __future__ import annotations

import logging
import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from heclstm.errors import ConfigError
from heclstm.network.site import make_private
from heclstm.page.app import make_app
from heclstm.page.desk import Desk
from heclstm.page.guard import START, Guard
from heclstm.page.rendering import render
from heclstm.page.session import Session
from heclstm.storage.atomic import save_file, sole_writer

LOOPBACK = "127.0.0.1"


def serve(
    desk: Desk,
    *,
    port: int = 0,
    plain_address: bool = False,
    browser: bool = True,
    language: str = "",
    tell: Callable[[str], None],
) -> None:
    """Until Ctrl+C, SIGTERM or the page's own button. tell: gets the link. Raises ConfigError for a port that is taken,
    OutputError where another workstation has this site.

    plain_address: 127.0.0.1 in place of a name of this start alone. Cookies of a name are sent to no other port of this
    machine, where another user may listen; those of an address are. Browsers that know no *.localhost need it.
    """
    make_private(desk.folder)
    make_private(desk.records.folder)
    with sole_writer(desk.records.folder):
        _serve(desk, port, plain_address, browser, language, tell)


def _serve(
    desk: Desk, port: int, plain_address: bool, browser: bool, language: str, tell: Callable[[str], None]
) -> None:
    listening = _listen(port)
    desk.recover()
    place = LOOPBACK if plain_address else f"heclstm-{secrets.token_hex(8)}.localhost"
    host, session = f"{place}:{listening.getsockname()[1]}", Session()
    app = Guard(make_app(desk), host, session, language)
    settings = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, log_level="warning", access_log=False,
        server_header=False, date_header=False, proxy_headers=False, timeout_graceful_shutdown=3, limit_concurrency=64,
    )  # fmt: skip
    server = uvicorn.Server(settings)

    def quit() -> None:
        server.should_exit = True

    desk.on_quit = quit
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    link = f"http://{host}{START}?ticket={session.ticket}"
    tell(link)
    opener = _opener(desk.records.folder, link) if browser else None
    try:
        if opener is not None:
            webbrowser.open(opener.as_uri())
        server.run([listening])
    finally:
        listening.close()
        if opener is not None:
            opener.unlink(missing_ok=True)
        desk.close()


def _listen(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.bind((LOOPBACK, port))
        made.listen(64)
    except OSError as error:
        made.close()
        raise ConfigError(f"port {port}: cannot be listened at ({error.strerror}); choose another --port") from error
    return made


def _opener(folder: Path, link: str) -> Path:
    """A file that leads a browser to the link. Arguments of a process can be read by every user, this file cannot."""
    path = folder / "open.html"
    save_file(path, render("opener.html", link=link), 0o600)
    return path
