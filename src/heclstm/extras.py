"""Which extra brings a library that not everybody needs; told where it is missed."""

from __future__ import annotations

from heclstm.errors import MissingLibraryError

# As it is imported → the extra of pyproject.toml.
EXTRAS = {
    "matplotlib": "report",
    "jinja2": "report",
    "scipy": "compile",
    "safetensors": "compile",
    "torch": "train",
    "lightning": "train",
    "torchmetrics": "train",
    "monai": "train",
    "pydicom": "dicom",
    "highdicom": "dicom-out",
    "pynetdicom": "gateway",
    "cryptography": "sign",
    "httpx": "network",
    "truststore": "network",
    "keyring": "keyring",
    "starlette": "workstation",
    "polib": "workstation",
    "litestar": "server",
    "sqlalchemy": "server",
    "psycopg": "postgresql",
    "joserfc": "oidc",
    "ray": "ray",
}


def missing(error: ModuleNotFoundError, place: str) -> MissingLibraryError | None:
    """What to raise in place of `error`, if an extra brings what is missing. place: who needs it."""
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return None
    return MissingLibraryError(
        f"{place}: needs {library}, which is not installed; pip install 'heclstm[{EXTRAS[library]}]'"
    )
