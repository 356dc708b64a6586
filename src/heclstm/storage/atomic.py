"""The one way to write files and folders: whole or not at all, and never over a secret."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from heclstm.errors import FileFormatError, OutputError

MAGIC = b"HECLSTM\x00"  # of every container; its version follows in two bytes, its kind in two more
SECRET_KIND = b"\x01\x00"
SEALED_MAGIC = b"HECLSEAL"  # of what a passphrase opens
FILES = ".heclstm-files-"  # how a folder of files that are not whole yet begins
_START_BYTES = 64  # tell what a file holds


@contextmanager
def new_file(path: Path, mode: int = 0o666, *, replace: bool = True) -> Iterator[IO[bytes]]:
    """A file to write into that takes its name only when the block ends well.

    mode: 0o600 for its owner only; the user's umask applies. replace: whether it may take the place of another, also
    of one that came meanwhile. Raises OutputError if it cannot be written, or if a secret key, a folder or a device
    stands in its place.
    """
    require_free(path)
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The mode from the beginning, and no chmod: some file systems refuse it.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            os.replace(partial, path)
        else:
            _move_one_new(partial, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # it is not there any more, or never was
            partial.unlink()


def save_file(path: Path, content: bytes | str, mode: int = 0o666, *, replace: bool = True) -> None:
    """Write one file in one step. Text is UTF-8. Raises as `new_file`."""
    with new_file(path, mode, replace=replace) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def give_name(partial: Path, path: Path) -> None:
    """To a file that is whole now, beside it, and in the place of one that had it. Raises OSError."""
    os.replace(partial, path)


@contextmanager
def new_files(folder: Path, *, replace: bool = True) -> Iterator[Path]:
    """A folder to write files into that all move to `folder` when the block ends well, and vanish otherwise.

    replace: whether they may take the place of files of the same name, secret ones too; otherwise OutputError, also for
    those that came meanwhile.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    partial = _partial(folder / "files", FILES)
    try:
        partial.mkdir(mode=0o700)
        with _told_as(partial, folder):
            yield partial
        names = sorted(path.name for path in partial.iterdir())
        if replace:
            for name in names:
                os.replace(partial / name, folder / name)
        else:
            _move_new(partial, folder, names)
    finally:
        try:
            shutil.rmtree(partial, ignore_errors=True)
        except BaseException:  # a second Ctrl+C, and a secret key may lie there
            shutil.rmtree(partial, ignore_errors=True)
            raise
        if new:
            with suppress(OSError):  # it holds the files
                folder.rmdir()


def _move_new(partial: Path, folder: Path, names: list[str]) -> None:
    """All of them or none, and none over another."""
    moved: list[Path] = []
    try:
        for name in names:
            _move_one_new(partial / name, folder / name)
            moved.append(folder / name)
    except BaseException as error:
        for path in moved:
            path.unlink()
        if isinstance(error, FileExistsError):
            raise OutputError(f"{folder / name}: exists, and is not replaced; choose another folder") from error
        raise


def _move_one_new(partial: Path, path: Path) -> None:
    """Raises FileExistsError. `partial` may stay."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    try:
        os.link(partial, path)  # fails if somebody was faster, which os.replace would not
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(partial, path)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that do the same, and remove what killed ones left in it by `new_files`.

    Raises OutputError if another holds it. Where a file system has no locks, nobody is held off and nothing removed. A
    folder that it made goes again if nothing comes into it.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{folder}: another process is writing into it; wait for its end") from error
        except OSError:
            pass
        else:
            for left in folder.glob(f"{FILES}*"):
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        if new:
            with suppress(OSError):  # it holds something
                folder.rmdir()
        os.close(descriptor)


@contextmanager
def new_folder(folder: Path, kind: str, names: Collection[str]) -> Iterator[Path]:
    """A folder to write into that takes its name only when the block ends well.

    kind, names: what it is called and holds. Only an empty folder, or one that holds nothing but such names, is
    replaced; FileFormatError otherwise.
    """
    if folder.is_symlink() or folder.exists() and not (folder.is_dir() and _holds_only(folder, names)):
        raise FileFormatError(f"{folder}: exists and is no {kind}; choose another folder, or remove it yourself")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial, old = _partial(folder), _partial(folder)
    partial.mkdir()
    try:
        with _told_as(partial, folder):
            yield partial
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


@contextmanager
def _told_as(partial: Path, folder: Path) -> Iterator[None]:
    """What goes wrong inside is told with the folder that the user knows."""
    try:
        yield
    except OutputError as error:
        raise OutputError(str(error).replace(str(partial), str(folder))) from error


def _partial(path: Path, start: str = ".heclstm-") -> Path:
    """A name beside `path` that nothing has, short enough for any file system; it starts with a dot."""
    return path.parent / f"{start}{secrets.token_hex(6)}"


def _holds_only(folder: Path, names: Collection[str]) -> bool:
    """Nothing but these: all that may be deleted without asking."""
    return {path.name for path in folder.iterdir()} <= set(names)


def require_free(path: Path) -> None:
    """Raise OutputError where nothing can be written, or stands what is not replaced: a secret key, a folder."""
    if not path.name or path.is_dir():
        raise OutputError(f"{path or '.'}: is a folder, expected the name of a file to write")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is no regular file, and is not replaced")
    try:
        with path.open("rb") as stream:
            start = stream.read(_START_BYTES)
    except OSError:
        return  # absent or unreadable: no key of ours that could be lost unseen
    if is_secret(start):
        raise OutputError(
            f"{path}: holds a secret key, which is not replaced; move it away first, or choose another name"
        )


def is_secret(start: bytes) -> bool:
    """Whether a file that starts so may not be lost unseen: a secret key of any version, what was sealed, or a
    private key in PEM.
    """
    if start.startswith(SEALED_MAGIC):
        return True
    pem = start.startswith(b"-----BEGIN ") and b"PRIVATE KEY" in start
    return pem or start.startswith(MAGIC) and start[len(MAGIC) + 2 : len(MAGIC) + 4] == SECRET_KIND
