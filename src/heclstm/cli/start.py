"""The entry of the command line: Ctrl+C ends it quietly while it still imports itself, where no verb can say so."""

from __future__ import annotations

import signal


def main() -> None:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in a shell's background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from heclstm.cli.main import app

    signal.signal(signal.SIGINT, before)
    app(prog_name="heclstm")
