"""Who did what, when, to which digest, with how many bytes. Never content. One JSON line each, only ever appended.

A line is on disk before what it tells of: it is written inside of the transaction, as the last thing before the commit.
So nothing happens untold. After a crash or an error in between, a line may tell of what did not happen, or twice.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from heclstm.service import clock
from heclstm.service.database.jobs import JobRow
from heclstm.service.database.key_sets import KeySetRow


class Audit:
    """A file for each day (UTC), mode 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()

    def write(self, action: str, tenant: str, **facts: Any) -> None:
        """facts: ids, digests, numbers of bytes, codes. Raises OSError if there is no room, and leaves no half line."""
        now = clock.now()
        line = {"time": clock.iso(now), "action": action, "tenant": tenant, **facts}
        content = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        with self._lock:
            descriptor = os.open(self._path(clock.day(now)), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                new = os.fstat(descriptor).st_size == 0
                _append(descriptor, content)
            finally:
                os.close(descriptor)
            if new:
                _sync(self._folder)

    def erase(self, before: str) -> int:
        """Remove the files of days before this one; returns how many."""
        old = [path for path in self._folder.glob("*.jsonl") if path.stem < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, day: str) -> Path:
        return self._folder / f"{day}.jsonl"


def tell_of_job(audit: Audit, action: str, by: str, row: JobRow) -> None:
    """That a job is erased, with all that had been told when it was accepted."""
    audit.write(
        action, row.tenant, job=row.id, program=row.program, key=row.label, queries=row.queries, bytes=row.bytes,
        body=row.body, state=row.state, by=by,
    )  # fmt: skip


def tell_of_keys(audit: Audit, action: str, by: str, row: KeySetRow) -> None:
    """That keys are erased. upload: that of the line which tells that they were stored."""
    audit.write(
        action, row.tenant, key=row.label, program=row.program, upload=row.upload, bytes=row.upload_bytes,
        state=row.state, by=by,
    )  # fmt: skip


def _sync(folder: Path) -> None:
    """So that the name of a new file survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(descriptor: int, content: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        content = b"\n" + content  # the power went in the middle of a line
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
