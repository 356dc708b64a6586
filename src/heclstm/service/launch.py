"""How a service starts: workers first, since they take the longest, and then the server around them."""

from __future__ import annotations

import gc
import os

from heclstm.service.config import Config
from heclstm.service.workers.pool import Early, open_pool, start_early


def launch(config: Config, path: str | None = None) -> None:
    """Serve until a signal ends it. path: of the configuration, to read it anew. Raises ConfigError."""
    os.umask(0o077)
    gc.disable()  # nothing that is imported is garbage, and looking for it takes a tenth of the time
    try:
        _launch(config, path)
    finally:
        gc.enable()  # as `serve` did before it began


def _launch(config: Config, path: str | None) -> None:
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pool, early = open_pool(config), Early()
    pool.warm(early.events)
    from heclstm.service.programs import Programs  # imports numpy, as the workers do now

    programs = Programs(config.programs, allow_insecure_test=config.allow_insecure_test)
    start_early(pool, {digest: programs.folder(digest) for digest in programs.active()}, early)
    from heclstm.service.service import serve  # takes a second to import, in which the workers load

    serve(config, path, programs, pool, early)
