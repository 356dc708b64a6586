"""A place for temporary files, which libraries take for granted: Matplotlib for its list of fonts."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heclstm.cli.start import SCRATCH


@contextmanager
def scratch_beside(output: Path | None) -> Iterator[None]:
    """Where the system has no folder that can be written to, one beside the output; it goes when the process ends."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # which folders it would like to have
    if output is None or _has_one():
        yield
        return
    nearest = next(parent for parent in output.absolute().parents if parent.is_dir())
    try:
        folder = tempfile.mkdtemp(prefix=".heclstm-", dir=nearest)
    except OSError:
        yield  # then the output cannot be written either, which is told
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after what libraries registered later
    SCRATCH.append(folder)
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = None


def _has_one() -> bool:
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True
