"""Everything that a report shows, and the diagnosis file that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs
from msgspec.json import schema_components

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.purpose import Purpose
from heclstm.card.version1 import purpose_of_version_1
from heclstm.deploy.case import Case
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import DigestError, FileFormatError
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, digest_of, read_json
from heclstm.storage.source import Source, name_of
from heclstm.storage.typed import Count, Digest, Finite, Name, plain, typed
from heclstm.templates.language import gettext

FORMAT, VERSION = "heclstm-diagnosis", 3
WITHOUT_DIGEST = (1, 2)  # versions of earlier releases
_DIAGNOSIS = (*Diagnosis.__struct_fields__, "decision", "probability")
Nonnegative = Annotated[float, Meta(ge=0, le=1e300)]


def credit(attribution: str, of_data_set: bool) -> str:
    """of_data_set: whether the images that are shown are those of the model's data set, and not a hospital's own."""
    words = gettext("Images") if of_data_set else gettext("Model trained on")
    return f"{words}: {attribution}" if attribution else ""


class Stage(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of the way, for the table: who did it, how long it took, how many bytes it left."""

    name: Name
    who: Name
    seconds: Nonnegative | None = None
    bytes: Count | None = None


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a diagnosis file holds beside the diagnosis. Version 1 has another purpose."""

    format: Literal["heclstm-diagnosis"]
    version: Literal[1, 2, 3]
    program: Digest
    purpose: dict[str, Any]
    truth: bool | None = None
    clear: dict[str, Any] | None = None
    error: Finite | None = None
    margins: dict[Name, Nonnegative] = {}
    stages: Annotated[tuple[Stage, ...], Meta(max_length=100)] = ()
    server_memory: Count | None = None
    case: dict[str, Any] | None = None
    digest: Digest | None = None


@dataclass(frozen=True)
class Findings:
    """program: its digest. case: that of the query; without it, nobody knows whose images these are. The rest is known
    where the model or the label is, as in the demo.

    clear: the same sequence by the model in clear. margins: largest value of each layer as a fraction of its
    limit. digested: whether its file carried its own digest; those of earlier releases do not.
    """

    diagnosis: Diagnosis
    purpose: Purpose
    program: str
    truth: bool | None = None
    clear: Diagnosis | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    server_memory: int | None = None
    case: Case | None = None
    digested: bool = field(default=True, compare=False)

    def credit(self, of_data_set: bool) -> str:
        """Whose images the model, or also this sequence, comes from; empty where nobody said."""
        return credit(self.purpose.model.credit, of_data_set)

    @property
    def operating_point(self) -> OperatingPoint | None:
        """What the decision was made at, with what is known of it."""
        diagnosis = self.diagnosis
        return self.purpose.operating_point(self.frames) if diagnosis.decided else None

    @property
    def frames(self) -> int:
        """How many real ones there were."""
        return self.diagnosis.frames or len(self.diagnosis.contributions)

    @property
    def error(self) -> float | None:
        """Decrypted minus clear score."""
        return None if self.clear is None else self.diagnosis.scores[0] - self.clear.scores[0]

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "program": self.program}
        data |= self.diagnosis.to_json()
        data["purpose"] = plain(self.purpose)
        if self.truth is not None:
            data["truth"] = self.truth
        if self.clear is not None:
            data |= {"clear": self.clear.to_json(), "error": self.error}
        if self.margins:
            data["margins"] = dict(self.margins)
        if self.stages:
            data["stages"] = plain(self.stages)
        if self.server_memory is not None:
            data["server_memory"] = self.server_memory
        if self.case is not None:
            data["case"] = plain(self.case)
        return data | {"digest": digest_of(data)}

    def save(self, path: Path, *, replace: bool = True) -> None:
        """Written for its owner only: it is about a patient. replace: as in `new_file`."""
        save_file(path, json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n", 0o600, replace=replace)

    @classmethod
    def load(cls, source: Source) -> Findings:
        """Raises FileFormatError; DigestError where the file was changed (earlier ones cannot tell: `digested`)."""
        data, name = read_json(source, SMALL), name_of(source)
        version = data.get("version")
        if (found := data.get("format")) != FORMAT or version not in (*WITHOUT_DIGEST, VERSION):
            raise FileFormatError(
                f"{name}: is a {str(found)[:40]!r} of version {str(version)[:40]}, expected {FORMAT!r} of version "
                f"1 to {VERSION}"
            )
        digest = data.pop("digest", None)
        if (digest is not None or version not in WITHOUT_DIGEST) and digest != digest_of(data):
            raise DigestError(
                f"{name}: was changed since it was written; take a copy of it, or decrypt its result again"
            )
        own = {each: data.pop(each) for each in _DIAGNOSIS if each in data}
        file = typed(data, _File, name)
        place = f"{name}: purpose"
        old = file.version == 1
        purpose = purpose_of_version_1(file.purpose, name) if old else typed(file.purpose, Purpose, place)
        found = cls(
            _diagnosis(own, purpose, name),
            purpose,
            file.program,
            file.truth,
            _diagnosis(file.clear, purpose, f"{name}: clear") if file.clear else None,
            file.margins,
            file.stages,
            file.server_memory,
            typed(file.case, Case, f"{name}: case") if file.case else None,
            digest is not None,
        )
        if (case := found.case) and (case.program, case.frames) != (found.program, found.frames):
            raise FileFormatError(f"{name}: its case is of another program or number of frames; it was altered")
        if case and case.withheld and found.diagnosis.decided:
            raise FileFormatError(f"{name}: has a decision that its case does not allow; it was altered")
        return found


def json_schema() -> dict[str, Any]:
    """JSON Schema of a diagnosis file as it is written. Beyond it, a reader holds the decision to the score."""
    types = (_File, Diagnosis, Purpose, Case)
    _, found = schema_components(types, ref_template="#/$defs/{name}")
    parts: dict[str, Any] = json.loads(json.dumps(found))  # lists for tuples, as in JSON
    diagnosis, whole = parts["Diagnosis"], parts.pop("_File")
    diagnosis["properties"] |= {
        "decision": {"type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    }
    diagnosis["required"].append("decision")
    whole["properties"] |= {
        **diagnosis["properties"],
        "version": {"const": VERSION},
        "purpose": {"$ref": "#/$defs/Purpose"},
        "clear": {"$ref": "#/$defs/Diagnosis"},
        "case": {"$ref": "#/$defs/Case"},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    whole["required"] += [*diagnosis["required"], "digest"]
    return {**whole, "title": "heclstm-diagnosis", "$defs": parts}


def _diagnosis(data: dict[str, Any], purpose: Purpose, name: str) -> Diagnosis:
    """From plain JSON types, with what follows from it. Raises FileFormatError if that is another decision.

    Earlier releases decided at 0 where there was no operating point; that is no decision.
    """
    data = dict(data)
    decision, _ = data.pop("decision", None), data.pop("probability", None)
    found = typed(data, Diagnosis, name)
    if decision not in (None, found.decision):
        raise FileFormatError(f"{name}: its decision is not that of its score and operating point; it was altered")
    if not purpose.operating_points and found.threshold == 0:
        return structs.replace(found, threshold=None, undecided="no decision")
    return found
