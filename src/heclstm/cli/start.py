"""The entry of the command line: Ctrl+C ends it quietly while it still imports itself, where no verb can say so."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in a shell's background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from heclstm.cli.serving import plain_config, serve_alone

    if (config := plain_config(sys.argv[1:])) is not None:
        signal.signal(signal.SIGINT, before)
        sys.exit(serve_alone(config))
    from heclstm.cli.application import application

    app = application(next(iter(sys.argv[1:]), ""))
    signal.signal(signal.SIGINT, before)
    app(prog_name="heclstm")
