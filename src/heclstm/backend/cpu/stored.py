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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
RELEASE = 3  # to be raised whenever the engine may round a coefficient otherwise, such as with another Lattigo


class Stored:
    """A folder of them. limit_bytes: what was used the longest ago is removed beyond it."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def path(self, identity: bytes) -> Path:
        return self.folder / (identity.hex()[:32] + SUFFIX)

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
            self._prune(path)
        except (OSError, OutputError, ParameterError):
            return False  # the program runs without
        return True

    def _prune(self, newest: Path) -> None:
        for left in self.folder.glob(".*"):  # of processes that were killed
            if left.stat().st_mtime < newest.stat().st_mtime - LEFT_SECONDS:
                left.unlink(missing_ok=True)
        found = (*self.folder.glob("*" + SUFFIX), *self.folder.glob("*" + OUTLINE))
        others = sorted(((path.stat().st_mtime, path.stat().st_size, path) for path in found), reverse=True)
        room = self.limit_bytes - newest.stat().st_size
        for _, size, path in others:
            if path != newest:
                room -= size
                if room < 0:
                    path.unlink(missing_ok=True)


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
