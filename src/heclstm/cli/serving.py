"""What `heclstm serve` does, and the same without Typer: a tenth of a second before its workers start."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from heclstm.cli.ending import ended_by_signals, ending_of
from heclstm.cli.plain import show_anything
from heclstm.cli.service import required


def serve_from(config: Path) -> None:
    """Until a signal ends it."""
    required()
    from heclstm.service.config import load_config, require_certificates
    from heclstm.service.launch import launch
    from heclstm.service.logs import set_up

    settings = load_config(config)
    require_certificates(settings.tls)
    set_up()
    launch(settings, str(config))


def plain_config(arguments: list[str]) -> Path | None:
    """The configuration, if nothing else was typed: no option, and no mistake that Typer would explain."""
    match arguments:
        case ["serve", config] if config and not config.startswith("-"):
            return Path(config)
    return None


def serve_alone(config: Path) -> int:
    """The exit code; ends as a verb does."""
    gc.disable()  # until it serves: nothing that is imported is garbage
    show_anything()
    try:
        with ended_by_signals():
            serve_from(config)
            sys.stdout.flush()
            return 0
    except BaseException as error:
        ending = ending_of(error, None, "serve")
        if ending is None:
            raise
    ending.tell(as_json=False)
    return ending.code
