"""Where queries, results and expanded keys are kept: a folder, or any file system of fsspec (S3 and so on).

A blob has a name that nothing had before, is written whole or not at all, and is known only once a row of the database
says so: what no row names is rubbish, and is collected.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from heclstm.errors import ConfigError, FileFormatError
from heclstm.storage.atomic import new_file, save_file

CACHED_FILES_MAX = 64  # of blobs that lie elsewhere and were brought here to be mapped into memory


class Blobs(Protocol):
    def put(self, name: str, content: bytes) -> None:
        """On disk when it returns. Raises OutputError, with the OSError behind it."""
        ...

    def read(self, name: str) -> bytes:
        """Raises FileFormatError if it is not there."""
        ...

    def staging(self, name: str) -> Path:
        """Where to write a large file that `adopt` then makes a blob of."""
        ...

    def adopt(self, name: str) -> None: ...

    def local(self, name: str) -> Path:
        """A file of this machine with its content."""
        ...

    def delete(self, name: str) -> None:
        """Nothing happens if it is not there."""
        ...

    def names(self, folder: str, older_than_seconds: float) -> Iterator[str]: ...


class FolderBlobs:
    """mode 0600: they are for the service alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("queries", "results", "keys"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, name: str, content: bytes) -> None:
        save_file(self.folder / name, content, 0o600)
        _sync_folder((self.folder / name).parent)

    def read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise FileFormatError(f"blob {name}: cannot be read ({error.strerror})") from error

    def staging(self, name: str) -> Path:
        return self.folder / name  # whoever writes there does it whole or not at all

    def adopt(self, name: str) -> None:
        _sync_folder((self.folder / name).parent)

    def local(self, name: str) -> Path:
        return self.folder / name

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def names(self, folder: str, older_than_seconds: float) -> Iterator[str]:
        now = time.time()
        for entry in os.scandir(self.folder / folder):
            try:
                age = now - entry.stat().st_mtime
            except FileNotFoundError:
                continue  # erased meanwhile
            if age >= older_than_seconds:
                yield f"{folder}/{entry.name}"


class FsspecBlobs:
    """url: such as s3://bucket/prefix. cache: a folder of this machine."""

    def __init__(self, url: str, cache: Path) -> None:
        try:
            import fsspec  # type: ignore[import-untyped]

            self._system: Any
            self._system, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"blobs: {error}; install what fsspec needs for {url.partition(':')[0]}://") from error
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, name: str, content: bytes) -> None:
        self._system.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(self._at(name), content)

    def read(self, name: str) -> bytes:
        try:
            return bytes(self._system.cat_file(self._at(name)))
        except OSError as error:
            raise FileFormatError(f"blob {name}: cannot be read ({type(error).__name__})") from error

    def staging(self, name: str) -> Path:
        return self._cache / name.replace("/", "-")

    def adopt(self, name: str) -> None:
        self._system.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
        self._system.put_file(str(self.staging(name)), self._at(name))

    def local(self, name: str) -> Path:
        path = self.staging(name)
        if path.exists():
            os.utime(path)
            return path
        self._trim()
        with self._system.open(self._at(name), "rb") as source, new_file(path, 0o600) as target:
            shutil.copyfileobj(source, target, 1 << 22)
        return path

    def delete(self, name: str) -> None:
        self.staging(name).unlink(missing_ok=True)
        if self._system.exists(self._at(name)):
            self._system.rm_file(self._at(name))

    def names(self, folder: str, older_than_seconds: float) -> Iterator[str]:
        if not self._system.exists(self._at(folder)):
            return
        for entry in self._system.ls(self._at(folder), detail=True):
            changed = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
            seconds = changed.timestamp() if hasattr(changed, "timestamp") else changed
            if seconds is not None and time.time() - float(seconds) >= older_than_seconds:
                yield f"{folder}/{entry['name'].rpartition('/')[2]}"

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _trim(self) -> None:
        """Files that are mapped stay readable after their name is gone."""
        files = sorted(self._cache.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - CACHED_FILES_MAX + 1)]:
            path.unlink(missing_ok=True)


def open_blobs(where: str, state: Path) -> Blobs:
    """where: "folder", or a URL."""
    return FolderBlobs(state / "blobs") if where == "folder" else FsspecBlobs(where, state / "cache")


def _sync_folder(folder: Path) -> None:
    """So that a new name survives a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # a system that does not open folders keeps names by itself
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
