"""How long each unit of work takes on this machine: measured once by `devtools.measure`, stored, and read by
`circuit.cost.estimate`.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heclstm.backend.machine import cache_folder
from heclstm.circuit.cost import UNITS
from heclstm.circuit.parameters import Parameters
from heclstm.errors import FileFormatError
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json


@dataclass(frozen=True)
class Primitives:
    """tables[unit]: levels and seconds. Between levels a price is interpolated, beyond them it is held."""

    machine: str
    threads: int
    tables: dict[str, tuple[list[int], list[float]]]

    def seconds(self, unit: str, level: int) -> float:
        levels, seconds = self.tables[unit]
        return float(np.interp(level, levels, seconds))

    def to_json(self) -> dict[str, Any]:
        return {"machine": self.machine, "threads": self.threads, "tables": self.tables}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Primitives:
        try:
            tables = {
                str(unit): ([int(level) for level in levels], [float(value) for value in seconds])
                for unit, (levels, seconds) in data["tables"].items()
            }
            return cls(str(data["machine"]), int(data["threads"]), tables)
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"primitives: a field is missing or of the wrong type ({error})") from error


def stored_path(parameters: Parameters, threads: int) -> Path:
    """Where the measurement for these parameters is kept: in the user's cache folder."""
    special = "-".join(map(str, sorted(set(parameters.special_counts)))) or len(parameters.special_moduli)
    return cache_folder() / f"{parameters.ring}-{parameters.ring_degree}-{special}-{threads}.json"


def load(parameters: Parameters, threads: int) -> Primitives | None:
    """The stored measurement, or None if there is none for this machine."""
    path = stored_path(parameters, threads)
    if not path.exists():
        return None
    primitives = Primitives.from_json(read_json(path, SMALL))
    complete = set(UNITS) <= primitives.tables.keys()  # else it was measured by an older release
    return primitives if complete and primitives.machine == machine_name() else None


def store(primitives: Primitives, parameters: Parameters) -> Path:
    path = stored_path(parameters, primitives.threads)
    save_file(path, json.dumps(primitives.to_json()) + "\n")
    return path


def machine_name() -> str:
    """The processor as the system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
