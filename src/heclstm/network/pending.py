"""Queries under way, on disk: what was sent for whom, until its result has been read. A crash loses none of them.

A query is written before it is sent, so it can be sent again; it is then the same job. A result is written before it is
erased at the server, and that happens before it is decrypted: so the server cannot see how decryption went.
"""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct, structs

from heclstm.deploy.case import Case
from heclstm.errors import FileFormatError
from heclstm.network.site import JOBS, Site, make_private
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json
from heclstm.storage.typed import Line, plain, typed


class Pending(Struct, frozen=True, forbid_unknown_fields=True):
    """case: whose the query is, with its labels. job: at the server; empty until that has answered. made: when, UTC."""

    case: Case
    made: Line
    job: str = ""

    @property
    def query(self) -> str:
        """The label of the query."""
        return self.case.query

    @property
    def key(self) -> str:
        """The label of the secret key."""
        return self.case.key

    @property
    def name(self) -> str:
        return self.case.name


class Folder:
    def __init__(self, site: Site) -> None:
        self._folder = site.folder / JOBS

    def all(self) -> list[Pending]:
        """In the order in which they were made. Raises FileFormatError."""
        paths = self._folder.glob("*.json") if self._folder.is_dir() else ()
        return sorted((self._read(path) for path in paths), key=lambda each: (each.made, each.query))

    def of_key(self, label: str) -> list[Pending]:
        return [each for each in self.all() if each.key == label]

    def add(self, pending: Pending, query: bytes) -> None:
        make_private(self._folder)
        save_file(self._path(pending, "he"), query, 0o600)
        self._write(pending)

    def sent(self, pending: Pending, job: str) -> Pending:
        """The server has it, whole and on its disk."""
        pending = structs.replace(pending, job=job)
        self._write(pending)
        self._path(pending, "he").unlink(missing_ok=True)
        return pending

    def query(self, pending: Pending) -> bytes:
        """Of one that is not sent yet."""
        try:
            return self._path(pending, "he").read_bytes()
        except OSError as error:
            raise FileFormatError(f"query {pending.query[:12]}: is lost; encrypt the images again") from error

    def keep_result(self, pending: Pending, result: bytes) -> None:
        save_file(self._path(pending, "result"), result, 0o600)

    def result(self, pending: Pending) -> bytes | None:
        path = self._path(pending, "result")
        return path.read_bytes() if path.is_file() else None

    def remove(self, pending: Pending) -> None:
        for kind in ("json", "he", "result"):
            self._path(pending, kind).unlink(missing_ok=True)

    def _write(self, pending: Pending) -> None:
        save_file(self._path(pending, "json"), json.dumps(plain(pending)) + "\n", 0o600)

    def _read(self, path: Path) -> Pending:
        return typed(read_json(path, SMALL), Pending, str(path))

    def _path(self, pending: Pending, kind: str) -> Path:
        return self._folder / f"{pending.query}.{kind}"
