"""The entry of the command line: before anything is imported, Ctrl+C ends it as it ends a verb."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

SCRATCH: list[str] = []  # folders that go when the process ends


def stopped(number: int, frame: object) -> None:
    """The handler of Ctrl+C outside of a verb, where nothing is half made: one line, and exit code 130 at once."""
    with suppress(OSError):
        os.write(2, b"heclstm: stopped by Ctrl+C; nothing half made stays behind\n")
    silent(number, frame)


def silent(number: int, frame: object) -> None:
    """The same after a verb that has said that it was stopped."""
    if SCRATCH:
        import shutil

        for folder in SCRATCH:
            shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + number)


def main() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as in a shell's background
        signal.signal(signal.SIGINT, stopped)
    from heclstm.cli.serving import plain_config, serve_alone

    if (config := plain_config(sys.argv[1:])) is not None:
        sys.exit(serve_alone(config))
    from heclstm.cli.application import application

    application(next(iter(sys.argv[1:]), ""))(prog_name="heclstm")
