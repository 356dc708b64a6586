"""Whether something on disk is this user's alone."""

from __future__ import annotations

import os


def own(about: os.stat_result) -> bool:
    """Whether it is this user's, and nobody else's to read or write. Windows keeps a user's folders itself."""
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and about.st_mode & 0o077 == 0)
