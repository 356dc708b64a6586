"""heclstm gateway"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.passphrase import passphrase
from heclstm.cli.terminal import note, out
from heclstm.cli.verb import verb
from heclstm.errors import InputError

if TYPE_CHECKING:
    from heclstm.gateway.config import Config


@verb(after="diagnose")
def gateway(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.TOML", help="The configuration; see docs/hospital.md.")],
    check: Annotated[bool, typer.Option("--check", help="Read configuration and keys, and stop.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Tell how far studies are, and stop.")] = False,
    retry: Annotated[
        str, typer.Option("--retry", metavar="LABEL", help="Take a study up again that was put aside, and stop.")
    ] = "",
    erase: Annotated[
        str, typer.Option("--erase", metavar="LABEL", help="Forget a study that rests, so that it can be sent anew.")
    ] = "",
) -> None:
    """Hospital: diagnose what a PACS sends, unattended, and store reports back.

    Takes images from known senders (C-STORE), waits until a study is whole, has it diagnosed encrypted by the server
    that `heclstm connect` made keys for, and stores a structured report in the PACS, which has to confirm it. What was
    taken survives a crash, and is diagnosed once. What cannot be diagnosed is put aside with its reason.
    SIGTERM ends it; the next start goes on.

    Example:

        heclstm gateway gateway.toml
        heclstm gateway gateway.toml --status
    """
    from heclstm.gateway.config import load_config

    settings = load_config(config)
    words = passphrase(Path(settings.passphrase_file) if settings.passphrase_file else None)
    if status or retry or erase:
        _resting(settings, retry, erase)
        return
    from heclstm.gateway.loop import opened, run

    if check:
        with opened(settings, words) as remote:
            program = remote.hospital.site.state.program
        note(f"{config}: is fine; listens at {settings.listen.address}, for program {program[:12]}")
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(settings, words, stop)


def _resting(settings: Config, retry: str, erase: str) -> None:
    from heclstm.gateway.journal import Journal
    from heclstm.gateway.status import erased, status_of

    if not settings.folder.is_dir():
        raise InputError(f"{settings.state}: is no folder of a gateway; start it once")
    journal = Journal(settings.folder)
    try:
        if retry and not journal.retry(retry):
            raise InputError(f"--retry: no study {retry[:32]!r} was put aside; --status lists them")
        if erase:
            erased(journal, settings, erase)
        for line in status_of(journal):
            out().print(line, soft_wrap=True, markup=False)
    finally:
        journal.close()
