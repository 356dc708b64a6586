"""What heclstm writes, as JSON Schema for those who read it by other means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heclstm.errors import InputError
from heclstm.program import public
from heclstm.report import findings
from heclstm.storage import container

SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "program": public.json_schema,
    "header": container.header_schema,
    "diagnosis": findings.json_schema,
}


def schema(name: str) -> dict[str, Any]:
    """Of program.json, of the header of key files, queries and results, or of a diagnosis file. Raises InputError."""
    if name not in SCHEMAS:
        raise InputError(f"schema: got {name!r}, expected one of {', '.join(SCHEMAS)}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name]()}
