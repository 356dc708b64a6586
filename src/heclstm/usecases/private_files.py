"""Files that nobody but their owner should read."""

from __future__ import annotations

from pathlib import Path

from heclstm.storage.source import Source
from heclstm.usecases.events import Events


def warn_if_others_read(key: Source, events: Events) -> None:
    """Say so if more than its owner can read the file of a secret or signing key; bytes and streams have none."""
    if not isinstance(key, str | Path):
        return
    try:
        mode = Path(key).stat().st_mode & 0o777
    except OSError:
        return  # who reads it says why
    if mode & 0o044:
        remedy = "chmod 600 it, or seal it by a passphrase where the file system refuses"
        events.note(f"warning: {key}: readable by others than its owner (mode {mode:04o}); {remedy}")
