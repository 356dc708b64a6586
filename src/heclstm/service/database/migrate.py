"""Bring a database to the tables of this release. The steps are shipped in `migrations/`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from heclstm.errors import ConfigError
from heclstm.service.database.connection import Database


def _settings() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return settings


def upgrade(database: Database) -> None:
    """Raises ConfigError where a newer release has been at work."""
    settings = _settings()
    known = ScriptDirectory.from_config(settings)
    with database.write() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found == known.get_current_head():
            return
        if found is not None and found not in {each.revision for each in known.walk_revisions()}:
            raise ConfigError(
                f"database: was made by a newer release (step {found}); run that one, or another database"
            )
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
