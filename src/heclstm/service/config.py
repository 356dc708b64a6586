"""The configuration of a service: a TOML file, every field typed and bounded, every mistake named at once."""

from __future__ import annotations

import re
import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from heclstm.errors import ConfigError
from heclstm.storage.settings import read_toml, settings_of
from heclstm.storage.typed import Digest

Whole = Annotated[int, Meta(ge=1, le=1 << 50)]
Seconds = Annotated[float, Meta(gt=0, le=1e6)]
Days = Annotated[float, Meta(gt=0, le=36500)]
TenantName = Annotated[
    str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}(?!\n)$", description="Lower-case name of a tenant")
]


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown names are mistakes."""


class Tls(Table, frozen=True):
    """certificate, key: PEM files. client_authority: certificates of clients that it signed tell the tenant."""

    certificate: str
    key: str
    client_authority: str | None = None


class Proxy(Table, frozen=True):
    """trusted: addresses or networks whose X-Forwarded-* are believed. certificate_header: in which such a proxy hands
    on the SHA-256 of a client certificate that it checked.
    """

    trusted: tuple[str, ...] = ("127.0.0.1",)
    certificate_header: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,63}$")] | None = None


class ProgramEntry(Table, frozen=True):
    """folder: of a compiled program. retired: 410 for what is new; what was accepted is still done.

    successor: the digest of the program that hospitals should use instead.
    """

    folder: str
    retired: bool = False
    successor: Digest | None = None


def require_certificates(tls: Tls | None) -> None:
    """Raises ConfigError for files that a server cannot show: absent, no PEM, or a key of another certificate."""
    if tls is None:
        return
    context, place = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), f"{tls.certificate} with {tls.key}"
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_authority:
            place = tls.client_authority
            context.load_verify_locations(tls.client_authority)
    except OSError as error:  # ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or "no PEM"
        raise ConfigError(
            f"tls: {place}: cannot be used ({reason}); expected PEM files that belong together"
        ) from error


class Evaluation(Table, frozen=True):
    """threads: of one evaluation; by default the cores, shared by all workers.

    memory_bytes: of all workers together, by the estimate; 0.8 of the machine's by default.
    key_sets: open in one worker at most; those in use stand in memory.
    attempts: before an evaluation whose workers die has failed.
    lease_seconds: without a sign of life of a server, after which another one takes over what it ran.
    hang_seconds: without progress, after which a worker is ended.
    retry_seconds: before an evaluation is tried again that failed for want of disk or memory.
    drain_seconds: for running evaluations to end when the service stops. intakes: uploads that are expanded at once.
    """

    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    memory_bytes: Whole | None = None
    key_sets: Annotated[int, Meta(ge=1, le=10_000)] = 16
    attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    lease_seconds: Seconds = 30.0
    hang_seconds: Seconds = 300.0
    retry_seconds: Seconds = 15.0
    drain_seconds: Seconds = 60.0
    intakes: Annotated[int, Meta(ge=1, le=64)] = 2


class Limits(Table, frozen=True):
    """header_bytes, header_seconds: of a request's head. stall_seconds: without a byte of a body.

    batch: queries in one job. wait_seconds: of a long poll. connections: open at once.
    """

    header_bytes: Annotated[int, Meta(ge=1024, le=1 << 20)] = 32 << 10
    header_seconds: Seconds = 10.0
    stall_seconds: Seconds = 30.0
    batch: Annotated[int, Meta(ge=1, le=4096)] = 64
    wait_seconds: Seconds = 60.0
    connections: Whole = 1024


class Quotas(Table, frozen=True):
    """Of one tenant. key_bytes: stored key sets. queued: queries that wait or run. daily: queries accepted in one day
    (UTC). requests_per_second: long-time mean; twice as many at once.
    """

    key_bytes: Whole = 16 << 30
    queued: Whole = 1000
    daily: Whole = 100_000
    requests_per_second: Annotated[float, Meta(gt=0, le=1e6)] = 50.0


class Tenant(Table, frozen=True):
    """quotas: instead of those of everybody. certificates: SHA-256 of client certificates that are this tenant's."""

    quotas: Quotas | None = None
    certificates: tuple[Digest, ...] = ()


class Retention(Table, frozen=True):
    """Results are erased `results_days` after their job ended, keys `keys_days` after their last use, an unfinished
    upload `uploads_days` after its last byte, audit files `audit_days` after their day.
    """

    results_days: Days = 7.0
    keys_days: Days = 180.0
    uploads_days: Days = 2.0
    audit_days: Days = 3650.0
    sweep_seconds: Seconds = 300.0


class Oidc(Table, frozen=True):
    """Bearer tokens of an identity provider. keys: its JWKS, a file or an https URL. authority: certificates in PEM to
    trust there in place of the system's. tenant_claim: names the tenant.
    """

    issuer: str
    audience: str
    keys: str
    authority: str | None = None
    tenant_claim: str = "heclstm_tenant"
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")


class Config(Table, frozen=True):
    """state: the folder of everything that is kept, unless `database` or `blobs` say otherwise.

    workers: how many processes evaluate, or the address of a Ray cluster ("ray://head:10001", "ray://auto").
    metrics_open: whether /metrics needs no token. allow_insecure_test: serve programs WITHOUT SECURITY, for tests.
    """

    state: str
    programs: tuple[ProgramEntry, ...]
    listen: Annotated[str, Meta(pattern=r"^\S+:\d{1,5}$")] = "127.0.0.1:8443"
    tls: Tls | None = None
    proxy: Proxy | None = None
    database: str = "sqlite"
    blobs: str = "folder"
    workers: Annotated[int, Meta(ge=1, le=1024)] | Annotated[str, Meta(pattern=r"^ray://\S+$")] = 1
    evaluation: Evaluation = Evaluation()
    limits: Limits = Limits()
    quotas: Quotas = Quotas()
    tenants: dict[TenantName, Tenant] = field(default_factory=dict)
    retention: Retention = Retention()
    oidc: Oidc | None = None
    metrics_open: bool = False
    allow_insecure_test: bool = False

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def folder(self) -> Path:
        return Path(self.state)

    @property
    def database_url(self) -> str:
        if self.database == "sqlite":
            return f"sqlite:///{self.folder.absolute() / 'service.db'}"
        return re.sub("^postgresql://", "postgresql+psycopg://", self.database)

    def quotas_of(self, tenant: str) -> Quotas:
        entry = self.tenants.get(tenant)
        return entry.quotas if entry and entry.quotas else self.quotas


def load_config(path: Path) -> Config:
    """Raises ConfigError with all mistakes, FileFormatError if the file cannot be read."""
    return config_of(read_toml(path), str(path), path.parent)


def config_of(data: dict[str, Any], name: str, base: Path) -> Config:
    """base: where relative paths begin. Raises ConfigError."""
    return _absolute(settings_of(data, Config, name, _contradictions), base)


def _absolute(config: Config, base: Path) -> Config:
    replace = msgspec.structs.replace
    programs = tuple(replace(entry, folder=str(base / entry.folder)) for entry in config.programs)
    tls = config.tls
    if tls:
        authority = tls.client_authority and str(base / tls.client_authority)
        tls = replace(tls, certificate=str(base / tls.certificate), key=str(base / tls.key), client_authority=authority)
    oidc = config.oidc
    if oidc:
        keys = oidc.keys if "://" in oidc.keys else str(base / oidc.keys)
        oidc = replace(oidc, keys=keys, authority=oidc.authority and str(base / oidc.authority))
    return replace(config, state=str(base / config.state), programs=programs, tls=tls, oidc=oidc)


def _contradictions(config: Config) -> list[str]:
    mistakes = []
    if not config.programs:
        mistakes.append("programs: name at least one")
    if int(config.listen.rpartition(":")[2]) > 65535:
        mistakes.append("listen: no port is above 65535")
    local = config.address[0] in ("127.0.0.1", "::1", "localhost")
    if config.tls is None and config.proxy is None and not local:
        mistakes.append("tls: is missing, and tokens would travel in clear; give certificates, or a [proxy] before it")
    if config.database != "sqlite" and not config.database.startswith(("sqlite:///", "postgresql")):
        mistakes.append('database: expected "sqlite" or a URL of postgresql://')
    if config.blobs != "folder" and "://" not in config.blobs:
        mistakes.append('blobs: expected "folder" or a URL that fsspec knows, such as s3://bucket/prefix')
    if config.evaluation.lease_seconds < 1:
        mistakes.append("evaluation: lease_seconds below 1 would take work from living workers")
    for trusted in config.proxy.trusted if config.proxy else ():
        try:
            ip_network(trusted, strict=False)
        except ValueError:
            mistakes.append(f"proxy: trusted: {trusted!r} is no address or network")
    for entry in config.programs:
        if entry.retired and entry.successor is None:
            mistakes.append(f"programs: {entry.folder} is retired; name its successor, so that hospitals can go on")
    return mistakes
