"""The programs that a service offers: several, of several versions, some of them retired."""

from __future__ import annotations

import threading
from pathlib import Path

from msgspec import Struct

from heclstm.card.program_card import ProgramCard
from heclstm.circuit.sizes import evaluation_key_memory
from heclstm.errors import ConfigError
from heclstm.program.public import NAME, load_card
from heclstm.service.config import ProgramEntry
from heclstm.service.problems import Problem


class Served(Struct, frozen=True):
    """document: program.json as the model owner wrote and signed it."""

    card: ProgramCard
    folder: str
    document: bytes
    retired: bool
    successor: str | None

    @property
    def digest(self) -> str:
        return self.card.digest

    @property
    def stored_key_bytes(self) -> int:
        """Of one key set, expanded."""
        keys, parameters = self.card.keys, self.card.parameters
        levels = [level for level in (keys.relinearization_level, *keys.rotations.values()) if level is not None]
        return sum(evaluation_key_memory(parameters, level) for level in levels)


class Programs:
    def __init__(self, entries: tuple[ProgramEntry, ...], *, allow_insecure_test: bool) -> None:
        self._allow_insecure_test = allow_insecure_test
        self._lock = threading.Lock()
        self._served: dict[str, Served] = {}
        self.reload(entries)

    def reload(self, entries: tuple[ProgramEntry, ...]) -> None:
        """Take others from now on. Raises ConfigError or what is wrong with a program, and then changes nothing."""
        served: dict[str, Served] = {}
        for entry in entries:
            program = self._read(entry)
            if program.digest in served:
                raise ConfigError(f"programs: {entry.folder} holds the same program as {served[program.digest].folder}")
            served[program.digest] = program
        for program in served.values():
            if program.successor is not None and program.successor not in served:
                raise ConfigError(f"programs: the successor of {program.folder} is not served")
        with self._lock:
            self._served = served

    def _read(self, entry: ProgramEntry) -> Served:
        card = load_card(Path(entry.folder))
        if card.parameters.security != "128" and not self._allow_insecure_test:
            raise ConfigError(
                f"programs: {entry.folder} has parameters without security ({card.parameters.security}); "
                "no hospital may be offered it"
            )
        document = (Path(entry.folder) / NAME).read_bytes()
        return Served(card, entry.folder, document, entry.retired, entry.successor)

    def all(self) -> dict[str, Served]:
        with self._lock:
            return dict(self._served)

    def active(self) -> list[str]:
        return [digest for digest, each in self.all().items() if not each.retired]

    def unsigned(self) -> list[Served]:
        """Those that no model owner has signed: a hospital that trusts a key refuses them."""
        return [each for each in self.all().values() if each.card.signature is None]

    def folder(self, digest: str) -> str:
        return self.all()[digest].folder

    def get(self, digest: str) -> Served:
        """Raises Problem: unknown, or retired."""
        served = self.all().get(digest)
        if served is None:
            raise Problem("unknown-program", f"program {digest[:12]}: is not served here; GET /v1/programs lists them")
        if served.retired:
            raise Problem(
                "retired-program",
                f"program {digest[:12]}: has been retired; use its successor, with new keys",
                successor=served.successor,
            )
        return served
