"""Where queries, results and expanded keys are kept: a folder, or any file system of fsspec (S3 and so on).

A blob has a name that nothing had before, is written whole or not at all, and is known only once a row of the database
says so: what no row names is rubbish, and is collected.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from heclstm.errors import ConfigError, FileFormatError, OutputError
from heclstm.storage.atomic import give_name, save_file

CACHED_FILES_MAX = 64  # of blobs that lie elsewhere and were brought here to be mapped into memory
# Files go and come in parts, of which some are in memory at once: ten of 50 MB each, if nothing else is said.
PART_BYTES = 16 << 20
OPTIONS = {"s3": {"max_concurrency": 2, "default_block_size": PART_BYTES}}
PUT_OPTIONS = {"s3": {"chunksize": PART_BYTES}}
PARTIAL = ".heclstm-"  # how the name of what is not whole yet begins
PARTIAL_SECONDS = 3600.0  # after which nobody writes there any more


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

    def copies(self) -> list[str]:
        """Of which blobs that lie elsewhere this machine holds a copy, or a file that may become one."""
        ...

    def forget(self, name: str) -> None:
        """Erase this machine's copy of a blob that lies elsewhere."""
        ...

    def forget_erased(self) -> None:
        """Erase this machine's copies of blobs that are no more where they lay, and what killed processes left."""
        ...


class FolderBlobs:
    """mode 0600: they are for the service alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unfinished: dict[str, set[str]] = {}  # by folder, at the last look
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
        """What is not whole is told when it was so at the last look, too: a clock that jumps ahead makes all look old,
        also what is being written.
        """
        now, before = time.time(), self._unfinished.get(folder, set())
        unfinished = self._unfinished[folder] = set[str]()
        for entry in os.scandir(self.folder / folder):
            if entry.name.startswith(PARTIAL):
                unfinished.add(entry.name)
            try:
                age = now - entry.stat().st_mtime
            except FileNotFoundError:
                continue  # erased meanwhile
            if age >= older_than_seconds and (entry.name not in unfinished or entry.name in before):
                yield f"{folder}/{entry.name}"

    def copies(self) -> list[str]:
        return []  # workers map the blobs themselves

    def forget(self, name: str) -> None:
        """There is no copy."""

    def forget_erased(self) -> None:
        """There is no copy."""


class FsspecBlobs:
    """url: such as s3://bucket/prefix. cache: a folder of this machine, for copies that are mapped into memory.

    Object stores show a blob when it is whole. Where a store can rename, it gets its name then.
    """

    def __init__(self, url: str, cache: Path) -> None:
        scheme = url.partition(":")[0]
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped]
            from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]

            self._system: Any
            self._system, self._root = url_to_fs(url, **OPTIONS.get(scheme, {}))
            self._put_options = PUT_OPTIONS.get(scheme, {})
        except (ImportError, ValueError) as error:
            remedy = "pip install 'heclstm[s3]'" if scheme == "s3" else f"install what fsspec needs for {scheme}://"
            raise ConfigError(f"blobs: {error}; {remedy}") from error
        self._renames = type(self._system).mv is not AbstractFileSystem.mv  # whose own copies, and then erases
        self._cache, self._staged = cache, cache / "staged"
        self._staged.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, name: str, content: bytes) -> None:
        try:
            self._write(name, lambda place: self._system.pipe_file(place, content))
        except OSError as error:
            raise OutputError(f"blob {name}: cannot be written ({error.strerror or type(error).__name__})") from error

    def read(self, name: str) -> bytes:
        try:
            with _answering(name):
                return bytes(self._system.cat_file(self._at(name)))
        except FileNotFoundError as error:
            raise FileFormatError(f"blob {name}: cannot be read ({type(error).__name__})") from error

    def staging(self, name: str) -> Path:
        return self._staged / name.replace("/", "-")

    def adopt(self, name: str) -> None:
        staged = self.staging(name)
        self._write(name, lambda place: self._system.put_file(str(staged), place, **self._put_options))
        self._trim()
        try:
            give_name(staged, self._copy(name))  # so that workers of this machine need not bring it back
        except FileNotFoundError:  # erased while it was on its way
            self.delete(name)
            raise

    def local(self, name: str) -> Path:
        path, partial = self._copy(name), self._cache / f"{PARTIAL}{secrets.token_hex(6)}"
        try:
            os.utime(path)
            return path
        except FileNotFoundError:
            self._trim()
        try:
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with _answering(name):
                self._system.get_file(self._at(name), str(partial))
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # or after a power cut there may be zeros under its name
            give_name(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def delete(self, name: str) -> None:
        self.forget(name)
        with suppress(FileNotFoundError), _answering(name):
            self._system.rm_file(self._at(name))

    def names(self, folder: str, older_than_seconds: float) -> Iterator[str]:
        now = time.time()
        for name, entry in self._entries(folder):
            if now - self._changed(entry) >= older_than_seconds:
                yield name

    def copies(self) -> list[str]:
        files = [*self._cache.glob("[!.]*-*"), *self._staged.glob("[!.]*-*")]
        return [path.name.replace("-", "/", 1) for path in files]

    def forget(self, name: str) -> None:
        for path in (self.staging(name), self._copy(name)):  # in this order: `adopt` makes the one the other
            path.unlink(missing_ok=True)

    def forget_erased(self) -> None:
        copies = [path.name.replace("-", "/", 1) for path in self._cache.glob("[!.]*-*")]  # staged: not there yet
        for folder in {name.partition("/")[0] for name in copies}:
            there = {name for name, _ in self._entries(folder)}
            for name in copies:
                if name.startswith(f"{folder}/") and name not in there:
                    self._copy(name).unlink(missing_ok=True)
        for path in (*self._cache.glob(".*"), *self._staged.glob(".*")):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > PARTIAL_SECONDS:
                    path.unlink()

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _copy(self, name: str) -> Path:
        return self._cache / name.replace("/", "-")

    def _write(self, name: str, write: Callable[[str], object]) -> None:
        """By `write(place)`."""
        with _answering(name):
            if not self._renames:
                write(self._at(name))
                return
            folder = self._at(name).rpartition("/")[0]
            self._system.makedirs(folder, exist_ok=True)
            partial = f"{folder}/{PARTIAL}{secrets.token_hex(6)}"
            try:
                write(partial)
                self._rename(partial, self._at(name))
            except BaseException:
                with suppress(Exception):  # the first one is told; what stays is collected
                    self._system.rm_file(partial)
                raise

    def _rename(self, partial: str, place: str) -> None:
        try:
            self._system.mv(partial, place)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            self._system.rm_file(place)  # of an earlier attempt: SMB renames over nothing
            self._system.mv(partial, place)

    def _entries(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, what the store tells of it), as it is now: other servers write there, too."""
        place = self._at(folder)
        self._system.invalidate_cache(place)
        try:
            with _answering(folder):
                entries = self._system.ls(place, detail=True)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry["type"] == "file" and (name := entry["name"].rpartition("/")[2]):
                yield f"{folder}/{name}", entry

    def _changed(self, entry: dict[str, Any]) -> float:
        """When it was written, in seconds since 1970."""
        names = ("LastModified", "last_modified", "mtime", "created")  # each store has another
        told = next((entry[name] for name in names if entry.get(name)), None)
        if told is None:
            with _answering(entry["name"]):
                told = self._system.modified(entry["name"])
        return float(told.timestamp() if hasattr(told, "timestamp") else told)

    def _trim(self) -> None:
        """Files that are mapped stay readable after their name is gone."""
        used = []
        for path in self._cache.glob("[!.]*-*"):
            with suppress(FileNotFoundError):
                used.append((path.stat().st_mtime, path))
        for _, path in sorted(used)[: max(0, len(used) - CACHED_FILES_MAX + 1)]:
            path.unlink(missing_ok=True)


@contextmanager
def _answering(name: str) -> Iterator[None]:
    """Whatever the library of a store raises is an OSError, and of what is not there a FileNotFoundError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT and not isinstance(error, FileNotFoundError):  # as over SMB
            raise FileNotFoundError(error.errno, f"blob {name}: is not there") from error
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"blob {name}: the store does not answer ({type(error).__name__})") from error


def open_blobs(where: str, state: Path) -> Blobs:
    """where: "folder", or a URL."""
    if where != "folder" and not where.startswith("file://"):
        return FsspecBlobs(where, state / "cache")
    for pattern in ("*keys-*", f"{PARTIAL}*"):  # of when blobs lay elsewhere: nobody would ever look there again
        for path in (state / "cache").rglob(pattern):
            path.unlink(missing_ok=True)
    return FolderBlobs(state / "blobs" if where == "folder" else Path(where.removeprefix("file://")))


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
