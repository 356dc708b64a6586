"""What cards and diagnoses of version 1 called a purpose: tables whose fields could be absent."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from heclstm.card.model_facts import ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.card.ranges import Bounds, ranges_of
from heclstm.card.temperature import Temperature
from heclstm.storage.typed import Line, Name, typed


class _Purpose(Struct, forbid_unknown_fields=True):
    name: Name = ""
    preparation: dict[str, Any] = {}
    operating_point: dict[str, Any] = {}
    ranges: dict[Name, Bounds] = {}
    attribution: Line = ""
    model_digest: str = ""
    temperature: dict[str, Any] = {}


def purpose_of_version_1(data: Any, name: str) -> Purpose:
    """An empty table meant that nothing was known. Raises FileFormatError."""
    old = typed(data, _Purpose, f"{name}: purpose")
    facts = {"name": old.name, "digest": old.model_digest or None, "attribution": old.attribution}
    point, scale, preparation = old.operating_point, old.temperature, old.preparation
    return Purpose(
        preparation=typed(preparation, Preparation, f"{name}: purpose: preparation") if preparation else None,
        operating_points=(typed(point, OperatingPoint, f"{name}: purpose: operating_point"),) if point else (),
        ranges=ranges_of(old.ranges),
        temperature=typed(scale, Temperature, f"{name}: purpose: temperature") if scale else None,
        model=typed(facts, ModelFacts, f"{name}: purpose"),
    )
