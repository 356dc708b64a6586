"""heclstm serve"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.verb import verb


@verb(after="run")
def serve(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.TOML", help="The configuration; see docs/deployment.md.")],
    check: Annotated[bool, typer.Option("--check", help="Read configuration and programs, and stop.")] = False,
) -> None:
    """Server: offer programs to hospitals over HTTPS, for many tenants.

    Takes in evaluation keys and encrypted queries, evaluates them in worker processes, and hands out encrypted
    results. Whatever is accepted survives a crash. SIGTERM lets running evaluations end; SIGHUP reads the programs
    of the configuration anew.

    Example:

        heclstm serve service.toml
    """
    from heclstm.cli.serving import serve_from

    if check:
        from heclstm.cli.service import required

        required()
        from heclstm.cli.terminal import note
        from heclstm.service.config import load_config, require_certificates
        from heclstm.service.programs import Programs

        settings = load_config(config)
        require_certificates(settings.tls)
        served = Programs(settings.programs, allow_insecure_test=settings.allow_insecure_test)
        count = len(served.all())
        note(f"{config}: is fine; serves {count} program{'s' if count != 1 else ''} at {settings.listen}")
        if unsigned := ", ".join(f"{each.folder} ({each.digest[:12]})" for each in served.unsigned()):
            note(f"not signed by a model owner, so that hospitals that trust a key refuse it: {unsigned}")
        return
    serve_from(config)
