"""What lines of the audit tell of jobs that are deleted and of uploads that go on after a restart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("key_sets", sa.Column("sent_by", sa.String(80), nullable=False, server_default=""))
