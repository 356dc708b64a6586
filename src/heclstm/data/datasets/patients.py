"""Which patient goes where: no split ever divides one, and the same seed always gives the same split.

Splitting by image instead leaks: pictures of one slide are nearly the same, and accuracies above 0.99 on BreaKHis
come from that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from heclstm.errors import ModelError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True)
class Splitting:
    """How patients are divided where a data set brings no parts of its own.

    validation, test: shares of the patients, positives and negatives alike. folds: with k > 1, patients are dealt
    into k folds; fold number `fold` (from 1) is the test part, and validation is taken from the others.
    """

    seed: int = 0
    validation: float = 0.15
    test: float = 0.15
    folds: int = 0
    fold: int = 1

    def __post_init__(self) -> None:
        for name in ("seed", "folds", "fold"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise ModelError(f"data.{name}: got {getattr(self, name)!r}, expected a whole number of at least 0")
        for name in ("validation", "test"):
            if not 0 < getattr(self, name) < 1:
                raise ModelError(f"data.{name}: got {getattr(self, name)}, expected a share between 0 and 1")
        if self.validation + self.test >= 1:
            raise ModelError(
                f"data: validation {self.validation} and test {self.test} leave nothing to train on; "
                "expected less than 1 together"
            )
        if self.folds == 1 or (self.folds and not 1 <= self.fold <= self.folds):
            raise ModelError(f"data.fold: got fold {self.fold} of {self.folds}, expected 1 to folds, of 2 or more")


def split(patients: Sequence[str], labels: Sequence[int], how: Splitting) -> list[str]:
    """The part of every sequence: "train", "validation" or "test"."""
    rng = np.random.default_rng(how.seed)
    strata = _strata(patients, labels, rng)
    part: dict[str, str] = {}
    if how.folds:
        dealt = [patient for members in strata for patient in members]
        part = {patient: TEST for row, patient in enumerate(dealt) if row % how.folds == how.fold - 1}
    else:
        for members in strata:
            part |= dict.fromkeys(members[: _count(len(members), how.test, leave=2)], TEST)
    for members in strata:
        rest = [patient for patient in members if patient not in part]
        share = how.validation if how.folds else how.validation / (1 - how.test)
        part |= dict.fromkeys(rest[: _count(len(rest), share, leave=1)], VALIDATION)
    return [part.get(patient, TRAIN) for patient in patients]


def without_overlap(patients: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Given parts, with "" for sequences to leave out: what is in a later part too must not be trained on."""
    last: dict[str, int] = {}
    for patient, part in zip(patients, parts, strict=True):
        last[patient] = max(last.get(patient, 0), PARTS.index(part))
    pairs = zip(patients, parts, strict=True)
    return [part if PARTS.index(part) == last[patient] else "" for patient, part in pairs]


def same_person(patients: Sequence[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """patient → one name for all that `pairs` say are the same person: the first of them in alphabetical order."""
    leader: dict[str, str] = {patient: patient for patient in patients}

    def find(patient: str) -> str:
        while leader.setdefault(patient, patient) != patient:
            patient = leader[patient]
        return patient

    for first, second in pairs:
        low, high = sorted((find(first), find(second)))
        leader[high] = low
    return {patient: find(patient) for patient in patients}


def _strata(patients: Sequence[str], labels: Sequence[int], rng: np.random.Generator) -> list[list[str]]:
    """Patients by their highest label, each list in a random order."""
    highest: dict[str, int] = {}
    for patient, label in zip(patients, labels, strict=True):
        highest[patient] = max(highest.get(patient, 0), int(label))
    strata = []
    for label in sorted(set(highest.values())):
        members = sorted(patient for patient, value in highest.items() if value == label)
        strata.append([members[row] for row in rng.permutation(len(members))])
    return strata


def _count(total: int, share: float, leave: int) -> int:
    """`share` of `total`, but at least one, as long as `leave` are left."""
    return max(0, min(max(1, round(share * total)), total - leave))
