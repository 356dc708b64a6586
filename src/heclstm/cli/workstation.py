"""heclstm workstation"""

from __future__ import annotations

from typing import Annotated

import typer

from heclstm.cli.options import SITE, InsecureTest, SiteFolder, Threads
from heclstm.cli.terminal import note, out
from heclstm.cli.verb import verb


@verb(after="jobs")
def workstation(
    site: SiteFolder = SITE,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of this machine; a free one by default.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the link, and open no browser.")] = False,
    plain_address: Annotated[
        bool,
        typer.Option("--plain-address", help="127.0.0.1 for browsers that know no names in .localhost (Safari)."),
    ] = False,
    language: Annotated[str, typer.Option("--language", help="en or de; that of the browser by default.")] = "",
    threads: Threads = None,
    insecure_test: InsecureTest = False,
) -> None:
    """Hospital: a page in your browser, to connect, diagnose, and look at results.

    Nobody but you can use it: it listens at this machine alone, and the link that is printed works once. Images, names
    and results stay in SITE/; what leaves is encrypted. Ctrl+C ends it.

    Example:

        heclstm workstation --site site
    """
    from heclstm.page.desk import Desk
    from heclstm.page.serve import serve

    def tell(link: str) -> None:
        out().print(link, soft_wrap=True, highlight=False)
        note("open this link once, in a browser on this machine; Ctrl+C ends the workstation")

    desk = Desk(site, threads=threads, allow_insecure=insecure_test)
    serve(desk, port=port, plain_address=plain_address, browser=not no_browser, language=language, tell=tell)
