"""Bring a database to the tables of this release. The steps are shipped in `migrations/`; Alembic lives here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from heclstm.errors import ConfigError
from heclstm.service.database.connection import Database

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).with_name("migrations")


def newest() -> str:
    """The step that this release needs, by the names of its files."""
    return max(path.stem.split("_")[1] for path in (_FOLDER / "versions").glob("step_*.py"))


def upgrade(database: Database) -> None:
    """Raises ConfigError where a newer release has been at work."""
    with database.write() as connection:
        if not database.sqlite:  # servers that start together go one after the other; SQLite has locked already
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('heclstm migrations'))"))
        there = inspect(connection).has_table("alembic_version")
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else None
        if found == newest():
            return  # as nearly always: Alembic need not be loaded, which takes a tenth of a second of each start
        from alembic import command
        from alembic.script import ScriptDirectory

        settings = _settings()
        known = {each.revision for each in ScriptDirectory.from_config(settings).walk_revisions()}
        if found is not None and found not in known:
            raise ConfigError(
                f"database: was made by a newer release (step {found}); run that one, or another database"
            )
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def _settings() -> Config:
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return settings
