"""How a service starts: workers first, since they take the longest, and then the server around them."""

from __future__ import annotations

import os

from heclstm.service.config import Config
from heclstm.service.programs import Programs
from heclstm.service.workers.pool import open_pool, start_early


def launch(config: Config, path: str | None = None) -> None:
    """Serve until a signal ends it. path: of the configuration, to read it anew. Raises ConfigError."""
    os.umask(0o077)
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    programs = Programs(config.programs, allow_insecure_test=config.allow_insecure_test)
    pool = open_pool(config)
    early = start_early(pool, {digest: programs.folder(digest) for digest in programs.active()})
    from heclstm.service.service import serve  # takes a second to import, in which the workers load

    serve(config, path, programs, pool, early)
