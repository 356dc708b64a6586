"""The tables. Migrations in `migrations/` bring a database here; a test compares both."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
NAME, DIGEST, LABEL = String(63), String(64), String(32)
COUNTING = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts by itself in SQLite

# Times are seconds since 1970.
tenants = Table("tenants", metadata, Column("name", NAME, primary_key=True), Column("created", Double, nullable=False))

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", NAME, ForeignKey("tenants.name"), nullable=False),
    Column("salt", LABEL, nullable=False),
    Column("digest", DIGEST, nullable=False),  # HMAC-SHA-256 of the secret half under the salt
    Column("scopes", String(200), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("note", String(200), nullable=False),
)

key_sets = Table(
    "key_sets",
    metadata,
    Column("tenant", NAME, primary_key=True),
    Column("label", LABEL, primary_key=True),
    Column("program", DIGEST, nullable=False),
    Column("state", String(16), nullable=False),  # receiving, ready
    Column("upload", LABEL, nullable=False),  # names its files
    Column("upload_bytes", BigInteger, nullable=False),  # of evaluation.keys
    Column("stored_bytes", BigInteger, nullable=False),  # expanded; counts against the quota
    Column("created", Double, nullable=False),
    Column("last_used", Double, nullable=False),
    Column("sent_by", String(80), nullable=False, server_default=""),  # as in the audit
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", LABEL, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("idempotency", String(200), nullable=False),
    Column("body", DIGEST, nullable=False),
    Column("program", DIGEST, nullable=False),
    Column("label", LABEL, nullable=False),
    Column("queries", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("finished", Double),
    Column("bytes", BigInteger, nullable=False, server_default="0"),  # of the body; 0 in rows of earlier releases
    UniqueConstraint("tenant", "idempotency"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", COUNTING, primary_key=True, autoincrement=True),  # the order of arrival
    Column("job", LABEL, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),  # which query of the job
    Column("tenant", NAME, nullable=False),
    Column("program", DIGEST, nullable=False),
    Column("label", LABEL, nullable=False),
    Column("state", String(16), nullable=False),  # queued, running, done, failed
    Column("owner", String(80), nullable=False),  # the server whose worker runs it
    Column("beat", BigInteger, nullable=False),  # counts signs of life of that server
    Column("attempts", Integer, nullable=False),
    Column("problem", String(40), nullable=False),
    Column("seconds", Double),
    UniqueConstraint("job", "number"),
    Index(None, "state", "tenant", "id"),
)

usage = Table(
    "usage",
    metadata,
    Column("tenant", NAME, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("queries", Integer, nullable=False),
)
