"""A card → a hospital's secret key, and the evaluation keys for its server."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
from heclstm.deploy.wire import key_header
from heclstm.errors import OutputError, ParameterError
from heclstm.storage.atomic import new_files, save_file, sole_writer
from heclstm.storage.sealed import require_passphrase
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.private_files import warn_if_others_read


@dataclass(frozen=True)
class KeyFiles:
    """folder: where both are. bytes: by the name of the file. kept: the former secret key, if there was one."""

    folder: Path
    program: str
    bytes: dict[str, int]
    kept: Path | None = None

    @property
    def secret(self) -> Path:
        """Stays in the hospital."""
        return self.folder / SECRET_KEY_FILE

    @property
    def evaluation(self) -> Path:
        """Goes to the server."""
        return self.folder / EVALUATION_KEYS_FILE

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"keys": str(self.folder), "program": self.program, "bytes": self.bytes}
        return data | ({"kept": str(self.kept)} if self.kept else {})


def keygen(
    card: ProgramCard,
    folder: Path,
    *,
    replace: bool = False,
    passphrase: str | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> KeyFiles:
    """Write both key files into `folder`, both or none. replace: existing ones, too; the secret key that stood there is
    kept under another name. passphrase: seals the new one.

    Raises ParameterError if there are some, SecurityError if the program's parameters are weak.
    """
    if passphrase is not None:
        require_passphrase(passphrase)
    client = Client(card, threads=threads, allow_insecure=allow_insecure)
    with closing(client), sole_writer(folder):
        if not replace:
            _require_none(folder)
        with new_files(folder, replace=replace) as partial:
            with events.stage("making keys") as update:
                try:
                    client.generate_keys(partial, update, passphrase=passphrase)
                except OutputError as error:  # names a file in `partial`, which nobody knows
                    raise OutputError(str(error).replace(str(partial), str(folder))) from error
            sizes = {name: (partial / name).stat().st_size for name in (EVALUATION_KEYS_FILE, SECRET_KEY_FILE)}
            kept = _keep(folder / SECRET_KEY_FILE) if replace else None
    if kept:
        events.note(f"the secret key that stood there is kept as {kept.name}: results under it are read with it")
    warn_if_others_read(folder / SECRET_KEY_FILE, events)
    return KeyFiles(folder, card.digest, sizes, kept)


def _require_none(folder: Path) -> None:
    if (folder / SECRET_KEY_FILE).exists():
        raise ParameterError(
            f"{folder / SECRET_KEY_FILE}: exists, and without it nothing encrypted under it can be read; "
            "choose another folder, or add --force"
        )
    if (folder / EVALUATION_KEYS_FILE).exists():
        raise ParameterError(
            f"{folder / EVALUATION_KEYS_FILE}: exists, and queries under its secret key cannot be evaluated without "
            "it; choose another folder, or add --force"
        )


def _keep(secret: Path) -> Path | None:
    """A second name for the key that is about to be replaced, with its label, or a number where it cannot be read."""
    if not secret.exists():
        return None
    header = key_header(secret)
    names = [f"secret-{header.key[:12]}.key"] if header else []
    names += [f"secret-old-{number}.key" for number in range(1, 1000)]
    for kept in (secret.with_name(name) for name in names):
        try:
            os.link(secret, kept)
        except FileExistsError:
            if header and kept.read_bytes() == secret.read_bytes():
                return kept
        except OSError:  # a file system without links
            save_file(kept, secret.read_bytes(), 0o600)
            return kept
        else:
            return kept
    raise OutputError(f"{secret}: a thousand keys are kept beside it already; choose another folder")
