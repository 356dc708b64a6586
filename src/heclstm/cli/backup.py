"""heclstm backup, heclstm restore"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import SITE, SiteFolder
from heclstm.cli.passphrase import PassphraseFile, passphrase
from heclstm.cli.terminal import note
from heclstm.cli.verb import verb


@verb(after="rotate-keys")
def backup(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BACKUP", help="Where the backup goes.")],
    site: SiteFolder = SITE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Hospital: put secret keys, programs, token and what is under way into one file that a passphrase opens.

    A secret key that is lost cannot be made again, and no result under it can be read. Keep the passphrase elsewhere.

    Example:

        heclstm backup --site site -o site.backup
    """
    from heclstm.usecases import backup as usecase

    word = passphrase(passphrase_file, new=True, of="backup")()
    count = usecase.backup(site, output, word)
    note(f"{output}: holds {count} secret key{'s' if count != 1 else ''}, sealed")


@verb(after="backup")
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `heclstm backup` wrote.")],
    site: SiteFolder = SITE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Hospital: write a site's folder anew from a backup.

    Example:

        heclstm restore site.backup --site site
    """
    from heclstm.usecases import backup as usecase

    word = passphrase(passphrase_file, of="backup")()
    restored = usecase.restore(source, site, word)
    note(f"{site}: connected to {restored.state.url}, {len(restored.state.keys)} secret keys")
