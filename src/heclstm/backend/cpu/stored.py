"""What preparing a program takes longest for, kept on disk: its encoded vectors, as the engine holds them.

A file is mapped into memory, so that it is there at once, processes share its pages, and the system may drop them. It
holds the model's weights, as the program's own folder does, and what stands in it is computed with. So it is taken only
from a folder and a file of this user that nobody else may read or write, and only if the engine finds its sizes, the
checksum of each row, and each number's range right; else it is made again. Its name is the digest of all that it
follows from: vectors, scales, levels, which are held whole, parameters, processor, and the release of the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.library import ABI
from heclstm.backend.cpu.values import PreparedFile, Transform
from heclstm.backend.machine import OUTLINE
from heclstm.circuit.late import values_digest
from heclstm.circuit.operations import TransformPlan
from heclstm.circuit.parameters import Parameters
from heclstm.errors import DigestError, FileFormatError, OutputError, ParameterError
from heclstm.storage.own import own

LIMIT_BYTES = 4 << 30  # of all files of a folder together
SUFFIX = ".prepared"
LEFT_SECONDS = 3600.0  # after which nobody writes a file any more
TURN_SECONDS = 120.0  # of waiting for who writes: a process that was stopped may never end
RELEASE = 3  # to be raised whenever the engine may round a coefficient otherwise, such as with another Lattigo


class Stored:
    """A folder of them. limit_bytes: what was used the longest ago is removed beyond it."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def path(self, identity: bytes) -> Path:
        return self.folder / (identity.hex()[:32] + SUFFIX)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other process writes here: who comes later finds what it wrote, in place of writing the same
        again, beside which the first would go on alone with a file that has no name any more.

        Where a file system has no locks, nobody waits.
        """
        descriptor = -1
        try:
            import fcntl

            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, end = os.open(self.folder, os.O_RDONLY), time.monotonic() + TURN_SECONDS
            while time.monotonic() < end:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.02)
        except (ImportError, OSError):  # on Windows; or it runs without
            pass
        try:
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def open(self, context: Context, identity: bytes) -> PreparedFile | None:
        """None if there is no such file, or none to be trusted."""
        path = self.path(identity)
        try:
            if not own(os.stat(self.folder)) or path.is_symlink() or not own(os.stat(path)):
                return None
            found = context.open_prepared(path, identity)
        except (OSError, FileFormatError, DigestError, ParameterError):
            return None
        with suppress(OSError):
            os.utime(path)  # so that it counts as used
        return found

    def write(self, context: Context, identity: bytes, transforms: Sequence[Transform]) -> bool:
        """Whether it stands there now: not where the folder cannot be written, or would leave little room to others."""
        path, size = self.path(identity), sum(transform.bytes_in_memory for transform in transforms)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if size > min(self.limit_bytes, shutil.disk_usage(self.folder).free // 2) or not own(os.stat(self.folder)):
                return False
            context.save_prepared(path, identity, transforms)
        except (OSError, OutputError, ParameterError):
            return False  # the program runs without
        with suppress(OSError):
            self._prune(path)
        return True

    def _prune(self, newest: Path) -> None:
        new = newest.stat()
        for when, _, left in _files(self.folder.glob(".*")):  # of processes that were killed
            if when < new.st_mtime - LEFT_SECONDS:
                left.unlink(missing_ok=True)
        room = self.limit_bytes - new.st_size
        found = _files([*self.folder.glob("*" + SUFFIX), *self.folder.glob("*" + OUTLINE)])
        for _, size, path in sorted(found, reverse=True):
            if path != newest:
                room -= size
                if room < 0:
                    path.unlink(missing_ok=True)


def _files(paths: Iterable[Path]) -> Iterator[tuple[float, int, Path]]:
    """(when it was used, bytes, path) of those that are still there: others give theirs a name meanwhile."""
    for path in paths:
        with suppress(FileNotFoundError):
            about = path.stat()
            yield about.st_mtime, about.st_size, path


def identity_of(plans: Sequence[TransformPlan], whole: Sequence[bool], parameters: Parameters) -> bytes:
    """The digest of all that their encoded vectors follow from. whole: which are held with every limb."""

    def digest_of(plan: TransformPlan) -> bytes:
        scales = np.asarray(plan.plaintext_scales, dtype="<f8")[plan.index[:, 4]]
        shape = [plan.vectors.shape, plan.vectors.dtype.str, plan.level, plan.special_count, any(plan.babies)]
        digest = hashlib.sha256(json.dumps(shape).encode())
        digest.update(np.ascontiguousarray(scales).data)
        digest.update(values_digest(plan.vectors))
        return digest.digest()

    settings = [ABI, RELEASE, platform.machine(), parameters.to_json(), list(whole)]
    digest = hashlib.sha256(json.dumps(settings).encode())
    with ThreadPoolExecutor(2) as pool:  # outside of the GIL
        for each in pool.map(digest_of, plans):
            digest.update(each)
    return digest.digest()
