"""What the verbs of the service share."""

from __future__ import annotations

from importlib.util import find_spec

from heclstm.errors import ConfigError

NEEDED = (
    "litestar",
    "uvicorn",
    "httptools",
    "sqlalchemy",
    "alembic",
    "prometheus_client",
    "fsspec",
    "jinja2",
)


def required() -> None:
    """Raise ConfigError unless all that the service needs is installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(f"service: needs {', '.join(missing)}; pip install 'heclstm[server]'")
