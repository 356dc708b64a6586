"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    name, digest, label = sa.String(63), sa.String(64), sa.String(32)
    counting = sa.BigInteger().with_variant(sa.Integer, "sqlite")

    def needed(column: str, kind: Any) -> sa.Column[Any]:
        return sa.Column(column, kind, nullable=False)

    op.create_table(
        "tenants",
        needed("name", name),
        needed("created", sa.Double),
        sa.PrimaryKeyConstraint("name", name="pk_tenants"),
    )
    op.create_table(
        "tokens",
        needed("id", sa.String(16)),
        needed("tenant", name),
        needed("salt", label),
        needed("digest", digest),
        needed("scopes", sa.String(200)),
        needed("created", sa.Double),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
        needed("note", sa.String(200)),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_tokens_tenant"),
    )
    op.create_table(
        "key_sets",
        needed("tenant", name),
        needed("label", label),
        needed("program", digest),
        needed("state", sa.String(16)),
        needed("upload", label),
        needed("upload_bytes", sa.BigInteger),
        needed("stored_bytes", sa.BigInteger),
        needed("created", sa.Double),
        needed("last_used", sa.Double),
        sa.PrimaryKeyConstraint("tenant", "label", name="pk_key_sets"),
    )
    op.create_table(
        "jobs",
        needed("id", label),
        needed("tenant", name),
        needed("idempotency", sa.String(200)),
        needed("body", digest),
        needed("program", digest),
        needed("label", label),
        needed("queries", sa.Integer),
        needed("created", sa.Double),
        sa.Column("finished", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("tenant", "idempotency", name="uq_jobs_tenant_idempotency"),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", counting, autoincrement=True, nullable=False),
        needed("job", label),
        needed("number", sa.Integer),
        needed("tenant", name),
        needed("program", digest),
        needed("label", label),
        needed("state", sa.String(16)),
        needed("owner", sa.String(80)),
        needed("beat", sa.BigInteger),
        needed("attempts", sa.Integer),
        needed("problem", sa.String(40)),
        sa.Column("seconds", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_evaluations_job", ondelete="CASCADE"),
        sa.UniqueConstraint("job", "number", name="uq_evaluations_job_number"),
    )
    op.create_index("ix_evaluations_state_tenant_id", "evaluations", ["state", "tenant", "id"])
    op.create_table(
        "usage",
        needed("tenant", name),
        needed("day", sa.String(10)),
        needed("queries", sa.Integer),
        sa.PrimaryKeyConstraint("tenant", "day", name="pk_usage"),
    )
