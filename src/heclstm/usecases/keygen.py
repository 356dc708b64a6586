"""A card → a hospital's secret key, and the evaluation keys for its server."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
from heclstm.errors import OutputError, ParameterError
from heclstm.storage.atomic import new_files
from heclstm.usecases.events import SILENT, Events


@dataclass(frozen=True)
class KeyFiles:
    """folder: where both are. bytes: by the name of the file."""

    folder: Path
    program: str
    bytes: dict[str, int]

    @property
    def secret(self) -> Path:
        """Stays in the hospital."""
        return self.folder / SECRET_KEY_FILE

    @property
    def evaluation(self) -> Path:
        """Goes to the server."""
        return self.folder / EVALUATION_KEYS_FILE

    def to_json(self) -> dict[str, Any]:
        return {"keys": str(self.folder), "program": self.program, "bytes": self.bytes}


def keygen(
    card: ProgramCard,
    folder: Path,
    *,
    replace: bool = False,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> KeyFiles:
    """Write both key files into `folder`, both or none. replace: existing ones, too.

    Raises ParameterError if there are some, SecurityError if the program's parameters are weak.
    """
    if (folder / SECRET_KEY_FILE).exists() and not replace:
        raise ParameterError(
            f"{folder / SECRET_KEY_FILE}: exists, and without it nothing encrypted under it can be read; "
            "choose another folder, or add --force"
        )
    if (folder / EVALUATION_KEYS_FILE).exists() and not replace:
        raise ParameterError(
            f"{folder / EVALUATION_KEYS_FILE}: exists, and queries under its secret key cannot be evaluated without "
            "it; choose another folder, or add --force"
        )
    client = Client(card, threads=threads, allow_insecure=allow_insecure)
    with closing(client), new_files(folder, replace=replace) as partial:
        with events.stage("making keys") as update:
            try:
                client.generate_keys(partial, update)
            except OutputError as error:  # names a file in `partial`, which nobody knows
                raise OutputError(str(error).replace(str(partial), str(folder))) from error
        sizes = {name: (partial / name).stat().st_size for name in (EVALUATION_KEYS_FILE, SECRET_KEY_FILE)}
    return KeyFiles(folder, card.digest, sizes)
