"""The folder of a hospital that is connected to a server. All of it is for its owner only, and none of it leaves.

site.json              URL, program, which key is used, which ones there are
token                  of the operator
ca.pem certificate.pem owner.pub      where they were given
programs/DIGEST.json   as they were verified
keys/LABEL/            secret.key, sealed or not; evaluation.keys until they have been uploaded
jobs/LABEL.*           queries that are under way, by their label: whose they are, what was sent, what came
releases.jsonl         what was shared
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.client import SEALED, Client, Passphrase
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
from heclstm.deploy.wire import Kind, Message, read_header
from heclstm.errors import FileFormatError
from heclstm.network import keyring
from heclstm.network.address import Address
from heclstm.network.transport import Route
from heclstm.program.public import load_card
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json
from heclstm.storage.typed import Digest, Label, Line, Name, plain, typed

STATE, TOKEN, CA, CERTIFICATE = "site.json", "token", "ca.pem", "certificate.pem"
OWNER, RELEASES = "owner.pub", "releases.jsonl"
PROGRAMS, KEYS, JOBS = "programs", "keys", "jobs"
TOKEN_BYTES_MAX = 8192


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """One secret key. ready: its evaluation keys lie on the server. made: UTC."""

    program: Digest
    made: Name
    ready: bool = False


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """key: the label of that which new queries are encrypted under; others serve what is still under way.

    keyring: the account under which the system's keyring holds the passphrase of all of them.
    """

    format: Literal["heclstm-site"]
    version: Literal[1]
    url: Line
    program: Digest
    key: Label | None = None
    keys: dict[Label, Key] = {}
    proxy: Line | None = None
    keyring: Label | None = None


def now() -> str:
    return datetime.now(UTC).isoformat()


class Site:
    """Changes are written at once, whole or not at all. Threads of one process may share it."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self._lock = threading.RLock()

    @classmethod
    def load(cls, folder: Path) -> Site:
        """Raises FileFormatError."""
        if not (folder / STATE).is_file():
            raise FileFormatError(f"{folder}: is not connected to a server; run `heclstm connect URL` first")
        return cls(folder, typed(read_json(folder / STATE, SMALL), State, str(folder / STATE)))

    @classmethod
    def create(cls, folder: Path, url: str, program: str, proxy: str | None) -> Site:
        make_private(folder)
        site = cls(folder, State("heclstm-site", 1, url, program, proxy=proxy))
        site._save()
        return site

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / STATE).is_file()

    def route(self, token: str = "", ca: Path | None = None) -> Route:
        """How to reach the server. token, ca: in place of those that lie here."""
        given = {"ca": ca or self.file(CA), "certificate": self.file(CERTIFICATE)}
        return Route(Address.of(self.state.url), token or self.token(), proxy=self.state.proxy, **given)

    def file(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None

    def token(self) -> str:
        """Empty where the hospital's certificate stands for it. Raises FileFormatError if there is neither."""
        path = self.folder / TOKEN
        if not path.exists() and self.file(CERTIFICATE):
            return ""
        try:
            return path.read_bytes()[:TOKEN_BYTES_MAX].decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path}: holds no token; run `heclstm connect` with one") from error

    def keep(self, name: str, content: bytes | str) -> Path:
        save_file(self.folder / name, content, 0o600)
        return self.folder / name

    # programs

    def card(self, digest: str | None = None) -> ProgramCard:
        """A program as it was verified when it was taken; it is verified again."""
        digest = digest or self.state.program
        path = self.folder / PROGRAMS / f"{digest}.json"
        card = load_card(path)
        if card.digest != digest:
            raise FileFormatError(f"{path}: holds another program; restore it, or run `heclstm connect` again")
        return card

    def take_program(self, card: ProgramCard, document: bytes) -> None:
        make_private(self.folder / PROGRAMS)
        self.keep(f"{PROGRAMS}/{card.digest}.json", document)
        with self.changing() as state:
            self.state = structs.replace(state, program=card.digest)

    # keys

    def key_folder(self, label: str) -> Path:
        return self.folder / KEYS / label

    def evaluation_keys(self, label: str) -> Path:
        return self.key_folder(label) / EVALUATION_KEYS_FILE

    def add_key(self, label: str, program: str, secret: Message) -> None:
        """Keep a new secret key. It is not yet used."""
        folder = self.key_folder(label)
        make_private(folder.parent)
        make_private(folder)
        secret.save(folder / SECRET_KEY_FILE)
        with self.changing() as state:
            self.state = structs.replace(state, keys={**state.keys, label: Key(program, now())})

    def is_sealed(self, label: str) -> bool:
        header = read_header(self.key_folder(label) / SECRET_KEY_FILE, Kind.SECRET_KEY)
        return [name for name, _ in header.blobs] == [SEALED]

    @property
    def seals(self) -> bool:
        """Whether the secret key in use is sealed, and so the next ones will be."""
        return self.state.key is not None and self.is_sealed(self.state.key)

    def open_key(self, client: Client, label: str, passphrase: Passphrase | None) -> None:
        """Let the client use a secret key. passphrase: asked for that of a sealed one."""
        path = self.key_folder(label) / SECRET_KEY_FILE
        if not path.is_file():
            raise FileFormatError(f"{path}: is absent; restore it from a backup, or make new keys by `rotate-keys`")
        client.load_secret_key(path, passphrase)

    def keep_passphrase(self, passphrase: str) -> None:
        """Let the system's keyring hold it. Raises KeyringError."""
        account = self.state.keyring or secrets.token_hex(16)
        keyring.keep(account, passphrase)
        with self.changing() as state:
            self.state = structs.replace(state, keyring=account)

    def kept_passphrase(self) -> Passphrase | None:
        """What asks the keyring for it, if it holds it."""
        account = self.state.keyring
        return None if account is None else lambda: keyring.kept(account)

    def key_is_ready(self, label: str) -> None:
        """From now on, new queries are encrypted under it. Its evaluation keys need not lie here any more."""
        with self.changing() as state:
            keys = {**state.keys, label: structs.replace(state.keys[label], ready=True)}
            self.state = structs.replace(state, keys=keys, key=label)
        self.evaluation_keys(label).unlink(missing_ok=True)

    def forget_key(self, label: str) -> None:
        """Overwrite and delete a secret key. What is encrypted under it stays sealed for ever."""
        erase(self.key_folder(label))
        with self.changing() as state:
            keys = {each: key for each, key in state.keys.items() if each != label}
            self.state = structs.replace(state, keys=keys, key=None if state.key == label else state.key)

    # the folder

    def forget(self) -> None:
        """Everything that a connection left, and nothing else. Raises KeyringError, when all else is erased."""
        account = self.state.keyring
        for name in (KEYS, JOBS, PROGRAMS):
            erase(self.folder / name)
        for name in (TOKEN, CA, CERTIFICATE, OWNER, RELEASES, STATE):
            _overwrite(self.folder / name)
        with suppress(OSError):  # not empty: somebody's own files
            self.folder.rmdir()
        if account is not None:
            keyring.forget(account)

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Hands out the state as it is in the file, for another process may have changed it."""
        with self._lock:
            if (self.folder / STATE).is_file():
                self.state = typed(read_json(self.folder / STATE, SMALL), State, str(self.folder / STATE))
            yield self.state
            self._save()

    def _save(self) -> None:
        self.keep(STATE, json.dumps(plain(self.state), indent=1) + "\n")


def make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(OSError):
        folder.chmod(0o700)


def erase(folder: Path) -> None:
    """A folder of ours with all in it; files are overwritten first, for what that is worth on modern disks."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in folder.rglob("*"):
        if path.is_file() and path.name != EVALUATION_KEYS_FILE:
            _overwrite(path)
    shutil.rmtree(folder)


def _overwrite(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        return
    with path.open("r+b") as stream:
        stream.write(bytes(os.fstat(stream.fileno()).st_size))
        stream.flush()
        os.fsync(stream.fileno())
    path.unlink()
