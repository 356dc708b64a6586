"""What a program is for: the model's metadata that the hospital needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from heclstm.errors import FileFormatError


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Purpose:
    """What a program is for: the model's metadata that the hospital needs."""

    name: str = ""
    preparation: dict[str, Any] = field(default_factory=dict)
    operating_point: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, Any] = field(default_factory=dict)
    attribution: str = ""
    model_digest: str = ""
    temperature: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "attribution", "model_digest"):
            if not isinstance(getattr(self, name), str):
                raise FileFormatError(f"purpose: {name} is no text")
        for name in ("preparation", "operating_point", "ranges", "temperature"):
            if not isinstance(getattr(self, name), dict):
                raise FileFormatError(f"purpose: {name} is no table")
        if not _finite(self.operating_point.get("threshold", 0.0)):
            raise FileFormatError("purpose: the operating point's threshold is no finite number")
        for name, known in self.ranges.items():
            if not isinstance(known, dict) or not _finite(known.get("limit", 0.0)):
                raise FileFormatError(f"purpose: the range of {name} has no finite limit")
        if not all(_finite(self.temperature.get(name, 0.0)) for name in ("temperature", "offset")):
            raise FileFormatError("purpose: the temperature is no finite number")

    @classmethod
    def of(cls, model: Any) -> Purpose:
        """From a `heclstm.model.weights.Model`."""
        metadata = model.metadata
        return cls(
            name=str(metadata.get("name", "")),
            preparation=dict(metadata.get("preparation", {})),
            operating_point=dict(metadata.get("operating_point", {})),
            ranges=dict(metadata.get("ranges", {})),
            attribution=". Licence: ".join(filter(None, (metadata.get("attribution"), metadata.get("licence")))),
            model_digest=model.digest,
            temperature=dict(metadata.get("temperature", {})),
        )
