"""The one way to write a folder: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from heclstm.errors import FileFormatError


@contextmanager
def new_folder(folder: Path, kind: str, names: Collection[str]) -> Iterator[Path]:
    """A folder to write into that takes its name only when the block ends well.

    kind, names: what it is called and holds. Only an empty folder, or one that holds nothing but such names, is
    replaced; FileFormatError otherwise.
    """
    if folder.is_symlink() or folder.exists() and not (folder.is_dir() and _holds_only(folder, names)):
        raise FileFormatError(f"{folder}: exists and is no {kind}; choose another folder, or remove it yourself")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)
        old = partial.with_name(f"{partial.name}-old")
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(partial, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _holds_only(folder: Path, names: Collection[str]) -> bool:
    """Nothing but these: all that may be deleted without asking."""
    return {path.name for path in folder.iterdir()} <= set(names)
