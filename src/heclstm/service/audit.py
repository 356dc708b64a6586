"""Who did what, when, to which digest, with how many bytes. Never content. One JSON line each, only ever appended."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from heclstm.service import clock


class Audit:
    """A file for each day (UTC), mode 0600. A line is on disk before what it tells of is answered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()

    def write(self, action: str, tenant: str, **facts: Any) -> None:
        """facts: ids, digests, numbers of bytes, codes."""
        now = clock.now()
        line = {"time": clock.iso(now), "action": action, "tenant": tenant, **facts}
        content = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        with self._lock:
            descriptor = os.open(self._path(clock.day(now)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, content)
                os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def erase(self, before: str) -> int:
        """Remove the files of days before this one; returns how many."""
        old = [path for path in self._folder.glob("*.jsonl") if path.stem < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, day: str) -> Path:
        return self._folder / f"{day}.jsonl"
