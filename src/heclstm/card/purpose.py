"""What a program is for: what the hospital needs to know of the model."""

from __future__ import annotations

from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from heclstm.card.envelope import Envelope
from heclstm.card.model_facts import WARNINGS_MAX, ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.ranges import Bounds, Range, ranges_of
from heclstm.card.temperature import Temperature
from heclstm.card.warnings import derived
from heclstm.errors import FileFormatError, NotAssessableError
from heclstm.storage.typed import Name, typed


class Purpose(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """preparation: None for images that are prepared already. operating_points: at most one for each number of frames.

    ranges: of every layer that was calibrated, and of the score. temperature: None without calibrated probabilities.
    envelope: what images look like; cards of earlier releases have none, and digests leave it out where it is not.
    """

    preparation: Preparation | None = None
    operating_points: Annotated[tuple[OperatingPoint, ...], Meta(max_length=256)] = ()
    ranges: Annotated[tuple[Range, ...], Meta(max_length=1024)] = ()
    temperature: Temperature | None = None
    model: ModelFacts = ModelFacts()
    envelope: Envelope | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises FileFormatError."""
        for what, found in (
            ("operating points", [point.frames for point in self.operating_points]),
            ("ranges", [each.name for each in self.ranges]),
        ):
            if len(set(found)) != len(found):
                raise FileFormatError(f"card: two of its {what} are for the same")
        if any(
            point.positives is not None and (point.people or 0) > point.positives for point in self.operating_points
        ):
            raise FileFormatError(
                "card: an operating point was chosen by more positive patients than positive sequences"
            )

    def operating_point(self, frames: int | None = None) -> OperatingPoint | None:
        """That for sequences of so many frames, else that for all; None if there are none at all.

        Without `frames`: that of the longest sequences. Raises NotAssessableError if there are some, but not for these.
        """
        known = {point.frames: point for point in self.operating_points}
        if not known or None in known:
            return known.get(frames, known.get(None))
        if frames is None:
            return known[max(filter(None, known))]
        if frames not in known:
            counted = f"{frames} frame{'' if frames == 1 else 's'}"
            raise NotAssessableError(
                f"not assessable: got {counted}, expected {self.assessable}; with others, the model was not "
                "found to tell positives from negatives"
            )
        return known[frames]

    @property
    def assessable(self) -> str:
        """The numbers of frames that decisions are made for, in words."""
        numbers = sorted(point.frames for point in self.operating_points if point.frames is not None)
        return " or ".join(map(str, numbers)) or "any number"

    def can_assess(self, frames: int) -> bool:
        """Whether sequences of so many frames get a decision, if any do."""
        return any(point.frames in (None, frames) for point in self.operating_points)

    def limit(self, name: str) -> float | None:
        """Of the range with this name; None if it was never calibrated."""
        return next((each.limit for each in self.ranges if each.name == name), None)

    def bound(self, name: str) -> float | None:
        """What no input can exceed, of the range with this name; None if it has no bound, or was never calibrated."""
        return next((each.bound for each in self.ranges if each.name == name), None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every reader of a score should know: what the model's owner says, and what follows from its figures."""
        return tuple(dict.fromkeys((*self.model.warnings, *derived(self))))

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
        stated = [_line(text) for text in found.warnings]
        purpose = cls(
            preparation=found.preparation,
            operating_points=(*([found.operating_point] if found.operating_point else []), *found.operating_points),
            ranges=ranges_of(found.ranges),
            temperature=found.temperature,
            envelope=found.envelope,
            model=typed({**facts, "digest": model.digest, "warnings": stated}, ModelFacts, place),
        )
        words = derived(purpose)
        warnings = tuple(dict.fromkeys((*stated[: WARNINGS_MAX - len(words)], *words)))
        return structs.replace(purpose, model=structs.replace(purpose.model, warnings=warnings))


class _Metadata(Struct):
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
    envelope: Envelope | UnsetType = UNSET


def _line(text: str) -> str:
    """On one line, as cards want it."""
    return " ".join(text.split())
