"""One tenant's evaluation keys: public material, large, and apart from what all tenants share."""

from __future__ import annotations

import base64
import os
from ctypes import byref, c_int64
from dataclasses import dataclass
from pathlib import Path

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.library import Handle, call, new_handle, report
from heclstm.errors import FileFormatError, OutputError


@dataclass(frozen=True)
class LoadedKeys:
    """relinearization_level: None without key. rotations: step → level. mapped: their words stand in a file."""

    relinearization_level: int | None
    rotations: dict[int, int]
    bytes_in_memory: int
    mapped: bool


class KeySet(Handle):
    """Empty at first; takes keys from several threads at once, and gives none back until it is closed.

    `save` writes the keys as they are used, `open` maps such a file into memory: at once, shared with other
    processes, and without a copy. Nobody may change or cut a file in place while it is open.
    """

    def __init__(self, context: Context, handle: int | None = None) -> None:
        super().__init__(new_handle("heclstm_key_set", context.handle) if handle is None else handle)
        self._context = context

    @classmethod
    def open(cls, context: Context, path: Path) -> KeySet:
        """Raises FileFormatError or DigestError unless it is whole and of these parameters.

        The words of each key are checked when it is used for the first time.
        """
        if not path.is_file():
            raise FileFormatError(f"{path}: cannot be read; it is absent or no regular file")
        name = os.fsencode(path)
        return cls(context, new_handle("heclstm_open_keys", context.handle, name, len(name)))

    def load(self, blob: bytes, step: int | None = None) -> int:
        """Expand one key and return its step; 0 is the relinearization key.

        step: whose key it is said to be; that of another raises FileFormatError. Raises ParameterError if there is one
        for this step: keys are never replaced.
        """
        found, wanted = c_int64(), -1 if step is None else step
        call("heclstm_load_key", self._context.handle, self.handle, blob, len(blob), wanted, byref(found))
        return found.value

    def save(self, path: Path, note: bytes = b"") -> None:
        """Write all keys, expanded, into a file that appears whole or not at all (mode 0600).

        note: up to 4096 bytes of the caller's. Raises OutputError; only another key set is replaced.
        """
        if not path.name:
            raise OutputError(f"{path}: is a folder, expected the name of a file to write")
        name = os.fsencode(path)
        call("heclstm_save_keys", self.handle, name, len(name), note, len(note))

    def rest(self) -> None:
        """Not used for a while: let go of the memory that mapped keys take in this process. Their next use finds it in
        the system's cache, or reads it again. Keys of no file stay.
        """
        call("heclstm_rest_keys", self.handle)

    def share(self) -> KeySet:
        """The same keys again: they stay until both are closed."""
        return KeySet(self._context, new_handle("heclstm_share", self.handle))

    @property
    def loaded(self) -> LoadedKeys:
        found = report("heclstm_keys_report", self.handle)
        return LoadedKeys(
            found["relinearization_level"],
            {
                int(step): int(level)
                for step, level in sorted(found["rotations"].items(), key=lambda item: int(item[0]))
            },
            int(found["bytes_in_memory"]),
            bool(found["mapped"]),
        )

    @property
    def bytes_in_memory(self) -> int:
        return self.loaded.bytes_in_memory

    @property
    def note(self) -> bytes:
        """What the file that it was opened from carries besides keys."""
        return base64.b64decode(report("heclstm_keys_report", self.handle)["note"] or "")
