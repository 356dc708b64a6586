"""heclstm forget"""

from __future__ import annotations

from typing import Annotated

import typer

from heclstm.cli.connected import opened
from heclstm.cli.options import SITE, InsecureTest, SiteFolder
from heclstm.cli.terminal import note
from heclstm.cli.verb import verb
from heclstm.errors import InputError


@verb(after="restore")
def forget(
    site: SiteFolder = SITE,
    key: Annotated[str, typer.Option("--key", metavar="LABEL", help="Only this old key, and its jobs.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; what is encrypted under these keys stays sealed.")] = False,
    here_only: Annotated[
        bool, typer.Option("--here-only", help="The server cannot be reached any more: erase the folder alone.")
    ] = False,
    insecure_test: InsecureTest = False,
) -> None:
    """Hospital: erase keys, jobs and results at the server, and then the site's folder with its secret keys.

    Diagnoses that were saved stay, also those in the history of the workstation, as do backups.

    Example:

        heclstm forget --site site --yes
    """
    from heclstm.network.site import Site
    from heclstm.usecases import rotate

    if not yes:
        raise InputError(f"{site}: its secret keys would be erased, and nothing under them could be read; add --yes")
    if here_only:
        Site.load(site).forget()
        note(f"{site}: erased; what lies at the server expires there, or its operator erases it")
        return
    with opened(site, None, None, insecure_test) as remote:
        if key:
            label = rotate.forget_key(remote, key)
            note(f"key {label[:12]}: erased, here and at the server")
            return
        remote.forget()
    note(f"{site}: erased, here and at {remote.hospital.site.state.url}")
