"""What every data set hands to training: three patient-disjoint parts, each of raw images and labels."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import FileFormatError, ModelError


@dataclass(frozen=True, repr=False)
class Part:
    """Raw images (one sequence per row, as `prepare` takes them) and integer labels.

    patients: what counts as a case, whose each sequence is; empty where every row is a patient of its own, or the
    publisher does not tell. groups: what no split may divide, as a hospital or a person with several cases; empty where
    that is the patient.
    names: what a sequence is called in an error; empty for its row. mask: (N, T), which frames are real; None
    where all are, or where the images have yet to be brought to their model's size (`fitted.fit_part`).
    """

    images: Sequence[Any] | NDArray[Any]
    labels: NDArray[np.int64]
    patients: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    mask: NDArray[np.bool_] | None = None
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or len(self.images) != len(self.labels):
            raise FileFormatError(
                f"data set: got {len(self.images)} images and labels of shape "
                f"{self.labels.shape}, expected one label each"
            )
        for name in ("patients", "names", "groups"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.labels):
                raise FileFormatError(
                    f"data set: got {len(getattr(self, name))} {name} for {len(self.labels)} images, expected one each"
                )
        if self.mask is not None and (self.mask.ndim != 2 or len(self.mask) != len(self.labels)):
            raise FileFormatError(
                f"data set: got a mask of shape {self.mask.shape} for {len(self.labels)} images, expected one row each"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Part({len(self)} images of {getattr(self.images, 'shape', ('any', 'size'))[1:]})"

    @property
    def undivided(self) -> tuple[str, ...]:
        """What no split may divide: the group of each sequence, or its patient."""
        return self.groups or self.patients

    def name(self, row: int) -> str:
        """What a sequence is called in an error."""
        return self.names[row] if self.names else f"sequence {row}"


@dataclass(frozen=True)
class Splits:
    """The parts of a data set, none of which share a patient.

    `test` is for one look at the end, never for choosing. notes: what whoever trains should know, such as what is
    missing.
    """

    train: Part
    validation: Part
    test: Part
    name: str
    licence: str = ""
    attribution: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for name in ("train", "validation", "test"):
            part = getattr(self, name)
            what = "group" if getattr(part, "groups", ()) else "patient"
            for patient in set(getattr(part, "undivided", ())):  # a test part may be withheld
                if (other := seen.setdefault(patient, name)) != name:
                    raise FileFormatError(
                        f"{self.name}: {what} {patient} is in {other} and in {name}, expected in one part only; "
                        "scores would be too good"
                    )

    @property
    def digest(self) -> str:
        """Of who is trained and validated on: changes with the parts, and tells nothing about anybody."""
        parts = (self.train, self.validation)
        content = [[p.labels.tolist(), list(p.patients), list(p.names)] for p in parts]
        for part, listed in zip(parts, content, strict=True):
            if part.groups:  # others keep the digest that they had before there were groups
                listed.append(list(part.groups))
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def require_two_classes(self) -> None:
        """Raise ModelError unless training and validation each hold labels 0 and 1, and no other."""
        for name in ("train", "validation"):
            counts = Counter(getattr(self, name).labels.tolist())
            if set(counts) != {0, 1}:
                got = ", ".join(f"{count} of label {label}" for label, count in sorted(counts.items())) or "none"
                raise ModelError(
                    f"{self.name}: {name}: got {got}, expected labels 0 and 1; choose which labels are positive, "
                    "or add sequences"
                )
