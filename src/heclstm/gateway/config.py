"""The settings of a gateway: a TOML file, every mistake named at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from heclstm.data.dicom import ANY, Selection
from heclstm.errors import FileFormatError
from heclstm.storage.settings import read_toml, settings_of

Title = Annotated[str, Meta(max_length=64)]
Address = Annotated[str, Meta(max_length=300)]
Seconds = Annotated[float, Meta(gt=0, le=1e6)]
Days = Annotated[float, Meta(ge=0, le=36500)]

TITLE = re.compile(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")
ADDRESS = re.compile(r"\S+:\d{1,5}")


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown names are mistakes."""


class Listen(Table, frozen=True):
    """title: as which it is called. certificate, key: PEM files, for TLS; authority: that signed those of senders, who
    then have to show one. associations: open at once.
    """

    title: Title = "HECLSTM"
    address: Address = "0.0.0.0:11112"
    certificate: str | None = None
    key: str | None = None
    authority: str | None = None
    associations: Annotated[int, Meta(ge=1, le=1000)] = 16


class Sender(Table, frozen=True):
    """Who may send: both have to fit. address: of one machine, or of a network such as 10.1.0.0/24."""

    title: Title
    address: str


class Store(Table, frozen=True):
    """Where reports go: by C-STORE to title and address, or by STOW-RS to a URL, with a name and a password or a token.

    commitment: whether the PACS is asked to confirm that it keeps them, and how long its answer is waited for; by
    STOW-RS, its answer confirms it. authority: that signed its certificate; C-STORE speaks TLS then.
    """

    title: Title = ""
    address: Address = ""
    url: Annotated[str, Meta(pattern=r"^(https?://\S+)?$")] = ""
    user: str = ""
    password: str = ""
    token: str = ""
    commitment: bool = True
    commitment_seconds: Seconds = 60.0
    summary: bool = True
    authority: str | None = None

    @property
    def asks_commitment(self) -> bool:
        return self.commitment and not self.url


class Retry(Table, frozen=True):
    """Pauses double from the first to the longest."""

    first_seconds: Seconds = 5.0
    longest_seconds: Seconds = 600.0

    def pause(self, attempts: int) -> float:
        """Before the next one, after so many."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempts, 40))


class Keep(Table, frozen=True):
    """Images are erased so long after their reports are stored, or after they were put aside; what is known of a study,
    without its images, is forgotten after `known_days`: the same study is diagnosed again then.
    """

    done_days: Days = 1.0
    aside_days: Days = 14.0
    known_days: Days = 400.0


class OrthancServer(Table, frozen=True):
    """An Orthanc that is asked for its stable studies. modality: what it calls the gateway. earlier: whether studies
    are meant that became stable before the first start.
    """

    url: Annotated[str, Meta(pattern=r"^https?://\S+$")]
    modality: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "heclstm"
    user: str = ""
    password: str = ""
    every_seconds: Seconds = 5.0
    earlier: bool = False


class Config(Table, frozen=True):
    """state: the folder of everything that is kept. site: of `heclstm connect`. quiet_seconds: without a new image,
    after which a study is whole. at_once: how many are diagnosed at a time. reserve_bytes: of the disk, that stay free.
    health: where /healthz answers. select: rules as in docs/dicom.md.
    """

    state: str
    senders: Annotated[tuple[Sender, ...], Meta(min_length=1)]
    store: Store
    site: str = "site"
    passphrase_file: str | None = None
    listen: Listen = Listen()
    orthanc: OrthancServer | None = None
    quiet_seconds: Seconds = 30.0
    at_once: Annotated[int, Meta(ge=1, le=64)] = 2
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    reserve_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 2_000_000_000
    health: Address = "127.0.0.1:8104"
    select: dict[str, Any] = {}
    retry: Retry = Retry()
    keep: Keep = Keep()
    allow_insecure_test: bool = False

    @property
    def folder(self) -> Path:
        return Path(self.state)

    @property
    def selection(self) -> Selection:
        return Selection.of(self.select) if self.select else ANY

    def knows_address(self, address: str) -> bool:
        """Whether one of the senders may be there."""
        return any(_within(address, each.address) for each in self.senders)

    def knows(self, title: str, address: str) -> bool:
        """Whether this is one of the senders."""
        return any(each.title == title.strip() and _within(address, each.address) for each in self.senders)


def load_config(path: Path) -> Config:
    """Raises ConfigError with all mistakes, FileFormatError if the file cannot be read."""
    config = settings_of(read_toml(path), Config, str(path), _contradictions)
    base = path.parent.absolute()

    def placed(name: str | None) -> str | None:
        return None if name is None else str(base / name)

    listen = structs.replace(
        config.listen,
        certificate=placed(config.listen.certificate),
        key=placed(config.listen.key),
        authority=placed(config.listen.authority),
    )
    return structs.replace(
        config,
        state=str(base / config.state),
        site=str(base / config.site),
        passphrase_file=placed(config.passphrase_file),
        listen=listen,
        store=structs.replace(config.store, authority=placed(config.store.authority)),
    )


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _within(address: str, known: str) -> bool:
    found = ip_address(address.removeprefix("::ffff:"))
    return found in ip_network(known, strict=False)


def _of_store(config: Config) -> Iterator[str]:
    store = config.store
    if store.url and (store.title or store.address):
        yield "store: expected title and address, for C-STORE, or a url, for STOW-RS, and not both"
    if not store.url and (store.user or store.password or store.token):
        yield "store: user, password and token are for STOW-RS, which needs a url"
    if store.token and store.user:
        yield "store: expected a user and a password, or a token, and not both"
    if store.authority and store.url.lower().startswith("http:"):
        yield "store: an authority is of TLS, which http does not speak; expected a url of https"


def _contradictions(config: Config) -> Iterator[str]:
    for sender in config.senders:
        try:
            ip_network(sender.address, strict=False)
        except ValueError:
            yield f"senders: {sender.address!r} is no address or network, such as 10.1.0.7 or 10.1.0.0/24"
    yield from _of_store(config)
    for title in (
        config.listen.title,
        *([] if config.store.url else [config.store.title]),
        *(sender.title for sender in config.senders),
    ):
        if not TITLE.fullmatch(title):
            yield f"title: {title!r} is no AE title, which has 1 to 16 ASCII letters and no backslash"
    for name, address in (
        ("listen", config.listen.address),
        *([] if config.store.url else [("store", config.store.address)]),
        ("health", config.health),
    ):
        if not ADDRESS.fullmatch(address) or split(address)[1] > 65535:
            yield f"{name}: {address!r} is no address and port, such as 10.1.0.7:104"
    if (config.listen.certificate is None) != (config.listen.key is None):
        yield "listen: expected a certificate and its key, or none of them"
    if config.listen.authority and not config.listen.certificate:
        yield "listen: an authority of senders needs a certificate of the gateway's own"
    if config.store.asks_commitment and not any(each.title == config.store.title for each in config.senders):
        yield (
            "senders: the PACS of [store] is not among them, so its answer to a commitment could not be heard; add it, "
            "or say commitment = false"
        )
    try:
        selection = config.selection
    except FileFormatError as error:
        yield f"select: {str(error).removeprefix('selection: ')}"
    else:
        if selection.series:
            yield "select: series is a number in one study's list, and says nothing about others"
