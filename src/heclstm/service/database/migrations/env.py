"""Run by alembic: the steps, on the connection that `migrate.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from heclstm.service.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
