"""Everything that a report shows, and the diagnosis file that holds it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from heclstm.card.purpose import Purpose
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import FileFormatError
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json

FORMAT, VERSION = "heclstm-diagnosis", 1


def credit(attribution: str, of_data_set: bool) -> str:
    """of_data_set: whether the images that are shown are those of the model's data set, and not a hospital's own."""
    return f"{'Images' if of_data_set else 'Model trained on'}: {attribution}" if attribution else ""


@dataclass(frozen=True)
class Stage:
    """One step of the way, for the table: who did it, how long it took, how many bytes it left."""

    name: str
    who: str
    seconds: float | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Findings:
    """program: its digest. The rest is known where the model or the label is, as in the demo.

    clear: the same sequence by the model in clear. margins: largest value of each layer as a fraction of its
    limit.
    """

    diagnosis: Diagnosis
    purpose: Purpose
    program: str
    truth: bool | None = None
    clear: Diagnosis | None = None
    margins: dict[str, float] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    server_memory: int | None = None

    def credit(self, of_data_set: bool) -> str:
        """Whose images the model, or also this sequence, comes from; empty where nobody said."""
        return credit(self.purpose.attribution, of_data_set)

    @property
    def error(self) -> float | None:
        """Decrypted minus clear score."""
        return None if self.clear is None else self.diagnosis.scores[0] - self.clear.scores[0]

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "program": self.program}
        data |= self.diagnosis.to_json()
        data["purpose"] = asdict(self.purpose)
        if self.truth is not None:
            data["truth"] = self.truth
        if self.clear is not None:
            data |= {"clear": self.clear.to_json(), "error": self.error}
        if self.margins:
            data["margins"] = self.margins
        if self.stages:
            data["stages"] = [asdict(stage) for stage in self.stages]
        if self.server_memory is not None:
            data["server_memory"] = self.server_memory
        return data

    def save(self, path: Path) -> None:
        """Written for its owner only: it is about a patient."""
        save_file(path, json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n", 0o600)

    @classmethod
    def load(cls, path: Path) -> Findings:
        """Raises FileFormatError."""
        data = read_json(path, SMALL)
        if data.get("format") != FORMAT or data.get("version") != VERSION:
            raise FileFormatError(
                f"{path}: is a {data.get('format')!r} of version {data.get('version')!r}, "
                f"expected {FORMAT!r} of version {VERSION}"
            )
        try:
            memory = data.get("server_memory")
            return cls(
                Diagnosis.from_json(data),
                Purpose(**data["purpose"]),
                str(data["program"]),
                None if data.get("truth") is None else bool(data["truth"]),
                Diagnosis.from_json(data["clear"]) if "clear" in data else None,
                {str(name): float(value) for name, value in data.get("margins", {}).items()},
                tuple(Stage(**stage) for stage in data.get("stages", ())),
                None if memory is None else int(memory),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileFormatError(f"{path}: a field is missing or of the wrong type ({error})") from error
