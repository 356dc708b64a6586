"""What preparing a program takes longest for, kept on disk: the coefficients of its encoded vectors.

A file holds the model's weights, as the program's own folder does, and what stands in it is computed with. So it is
taken only from a folder and a file of this user that nobody else may read or write, and only if its digest is right;
else it is made again. Its name is the digest of all that it follows from: vectors, scales, parameters, processor, and
the release of the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.cpu.library import ABI
from heclstm.circuit.operations import TransformPlan
from heclstm.circuit.parameters import Parameters
from heclstm.errors import OutputError
from heclstm.storage.atomic import new_file

MAGIC = b"HECLPREP"
DIGEST_BYTES = 32
LIMIT_BYTES = 1 << 30  # of all files of a folder together
SUFFIX = ".prepared"
LEFT_SECONDS = 3600.0  # after which nobody writes a file any more
RELEASE = 1  # to be raised whenever the engine may round a coefficient otherwise, such as with another Lattigo

Coefficients = NDArray[np.int32]


class Stored:
    """A folder of them. limit_bytes: what was used the longest ago is removed beyond it."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def path(self, plans: Sequence[TransformPlan], parameters: Parameters) -> Path:
        return self.folder / (_name(plans, parameters) + SUFFIX)

    def read(
        self, path: Path, plans: Sequence[TransformPlan], parameters: Parameters
    ) -> list[Coefficients | None] | None:
        """Those of each plan, as `write` was given them; None if there is no such file, or none to be trusted."""
        content = self._trusted(path)
        if content is None or content[: len(MAGIC)] != MAGIC:
            return None
        start = len(MAGIC) + DIGEST_BYTES
        if hashlib.sha256(memoryview(content)[start:]).digest() != content[len(MAGIC) : start]:
            return None
        shapes = [(len(plan.vectors), parameters.residues(plan.period)) for plan in plans]
        flags = content[start : start + len(plans)]
        start += len(plans) + -len(plans) % 8
        found: list[Coefficients | None] = []
        for (rows, length), flag in zip(shapes, flags, strict=False):
            size = 4 * rows * length if flag else 0
            if start + size > len(content):
                return None
            array = np.frombuffer(content, "<i4", rows * length if flag else 0, start)
            found.append(array.reshape(rows, length) if flag else None)
            start += size
        with suppress(OSError):
            os.utime(path)  # so that it counts as used
        return found if len(found) == len(plans) and start == len(content) else None

    def write(self, path: Path, coefficients: Sequence[Coefficients | None]) -> None:
        """None: of a plan whose coefficients do not fit. Where the folder cannot be written, nothing is kept."""
        flags = bytes(array is not None for array in coefficients)
        parts = [memoryview(flags + bytes(-len(flags) % 8))]
        parts += [np.ascontiguousarray(each, "<i4").reshape(-1).data for each in coefficients if each is not None]
        if len(MAGIC) + DIGEST_BYTES + sum(part.nbytes for part in parts) > self.limit_bytes:
            return
        digest = hashlib.sha256()
        for part in parts:  # no copy of them: memory may be scarce
            digest.update(part)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _own(os.stat(self.folder)):
                with new_file(path, 0o600) as stream:
                    stream.write(MAGIC + digest.digest())
                    for part in parts:
                        stream.write(part)
                self._prune(path)
        except (OSError, OutputError):
            return  # the program runs without

    def _trusted(self, path: Path) -> bytes | None:
        try:
            if not _own(os.stat(self.folder)):
                return None
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            with os.fdopen(descriptor, "rb") as file:
                about = os.fstat(file.fileno())
                return file.read() if _own(about) and about.st_size <= self.limit_bytes else None
        except OSError:
            return None

    def _prune(self, newest: Path) -> None:
        for left in self.folder.glob(".heclstm-*"):  # of processes that were killed
            if left.stat().st_mtime < newest.stat().st_mtime - LEFT_SECONDS:
                left.unlink(missing_ok=True)
        others = sorted(
            ((path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("*" + SUFFIX)), reverse=True
        )
        room = self.limit_bytes - newest.stat().st_size
        for _, size, path in others:
            if path != newest:
                room -= size
                if room < 0:
                    path.unlink(missing_ok=True)


def _own(about: os.stat_result) -> bool:
    """Whether it is this user's, and nobody else's to read or write. Windows keeps a user's folders itself."""
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and about.st_mode & 0o077 == 0)


def _name(plans: Sequence[TransformPlan], parameters: Parameters) -> str:
    def digest_of(plan: TransformPlan) -> bytes:
        scales = np.asarray(plan.plaintext_scales, dtype="<f8")[plan.index[:, 4]]
        digest = hashlib.sha256(json.dumps([plan.vectors.shape, plan.vectors.dtype.str]).encode())
        digest.update(np.ascontiguousarray(scales).data)
        digest.update(np.ascontiguousarray(plan.vectors).data)
        return digest.digest()

    whole = hashlib.sha256(json.dumps([ABI, RELEASE, platform.machine(), parameters.to_json()]).encode())
    with ThreadPoolExecutor(2) as pool:  # outside of the GIL
        for digest in pool.map(digest_of, plans):
            whole.update(digest)
    return whole.hexdigest()[:32]
