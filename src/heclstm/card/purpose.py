"""What a program is for: what the hospital needs to know of the model."""

from __future__ import annotations

from typing import Annotated, Any, Self

from msgspec import Meta, Struct

from heclstm.card.model_facts import ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.ranges import Bounds, Range, ranges_of
from heclstm.card.temperature import Temperature
from heclstm.errors import FileFormatError, SequenceError
from heclstm.storage.typed import Name, typed


class Purpose(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """preparation: None for images that are prepared already. operating_points: at most one for each number of frames.

    ranges: of every layer that was calibrated, and of the score. temperature: None without calibrated probabilities.
    """

    preparation: Preparation | None = None
    operating_points: Annotated[tuple[OperatingPoint, ...], Meta(max_length=256)] = ()
    ranges: Annotated[tuple[Range, ...], Meta(max_length=1024)] = ()
    temperature: Temperature | None = None
    model: ModelFacts = ModelFacts()

    def __post_init__(self) -> None:
        """Raises FileFormatError."""
        for what, found in (
            ("operating points", [point.frames for point in self.operating_points]),
            ("ranges", [each.name for each in self.ranges]),
        ):
            if len(set(found)) != len(found):
                raise FileFormatError(f"card: two of its {what} are for the same")

    def operating_point(self, frames: int | None = None) -> OperatingPoint | None:
        """That for sequences of so many frames, else that for all; None if there are none at all.

        Raises SequenceError if there are some, but none for these.
        """
        known = {point.frames: point for point in self.operating_points}
        if known and not {frames, None} & known.keys():
            expected = sorted(filter(None, known))
            raise SequenceError(f"operating point: got {frames or 'any number of'} frames, expected one of {expected}")
        return known.get(frames, known.get(None))

    def limit(self, name: str) -> float | None:
        """Of the range with this name; None if it was never calibrated."""
        return next((each.limit for each in self.ranges if each.name == name), None)

    def bound(self, name: str) -> float | None:
        """What no input can exceed, of the range with this name; None if it has no bound, or was never calibrated."""
        return next((each.bound for each in self.ranges if each.name == name), None)

    @property
    def padded(self) -> bool:
        """Whether sequences of fewer frames are taken."""
        return self.preparation is not None and self.preparation.padded

    @property
    def purpose(self) -> Purpose:
        """This alone, of whatever holds more."""
        return Purpose(**{name: getattr(self, name) for name in Purpose.__struct_fields__})

    @classmethod
    def of(cls, model: Any) -> Self:
        """From a `heclstm.model.weights.Model`. Raises FileFormatError if its metadata cannot go on a card."""
        place = "model.json: metadata"
        found = typed(dict(model.metadata), _Metadata, place)
        facts = {name: _line(getattr(found, name)) for name in ("name", "dataset", "attribution", "licence")}
        warnings = [_line(text) for text in found.warnings]
        return cls(
            preparation=found.preparation,
            operating_points=(*([found.operating_point] if found.operating_point else []), *found.operating_points),
            ranges=ranges_of(found.ranges),
            temperature=found.temperature,
            model=typed({**facts, "digest": model.digest, "warnings": warnings}, ModelFacts, place),
        )


class _Metadata(Struct, frozen=True):
    """What a card takes of a model's metadata, which hold more."""

    name: str = ""
    dataset: str = ""
    attribution: str = ""
    licence: str = ""
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None
    operating_point: OperatingPoint | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    ranges: dict[Name, Bounds] = {}
    temperature: Temperature | None = None


def _line(text: str) -> str:
    """On one line, as cards want it."""
    return " ".join(text.split())
