"""Many patients' images → an encrypted query for each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.data.dicom import ANY, Selection
from heclstm.data.manifest import MANIFEST, sequences_of
from heclstm.data.reading import holds_arrays, read_volumes
from heclstm.data.sources import is_there
from heclstm.deploy.client import Passphrase
from heclstm.errors import FileFormatError, HeclstmError, InputError
from heclstm.storage.source import Source
from heclstm.storage.typed import one_line
from heclstm.usecases.each import Alike, Outcome, Told, attempt
from heclstm.usecases.encrypt import Encrypted, encrypt
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.hospital import hospital
from heclstm.usecases.images import read_handed_in

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Patient:
    """row: of a NumPy file that holds many. sequence: of a manifest."""

    path: Path
    row: int | None = None
    sequence: str = ""

    @property
    def label(self) -> str:
        if self.sequence:
            return f"{self.path}, {self.sequence}"
        return str(self.path) if self.row is None else f"{self.path}, row {self.row}"

    @property
    def name(self) -> str:
        return self.sequence or self.label.rpartition(os.sep)[2]


def patients_of(inputs: Sequence[Path], card: ProgramCard) -> list[Patient]:
    """Each input is one, but for manifests and NumPy files that hold many."""
    found = []
    for path in inputs:
        if path.suffix.lower() == MANIFEST and is_there(path) and path.is_file():
            found += [Patient(path, sequence=name) for name in sequences_of(path)]
            continue
        rows = _rows(path, card)
        found += [Patient(path)] if rows is None else [Patient(path, row) for row in range(rows)]
    return found


def _rows(path: Path, card: ProgramCard) -> int | None:
    if card.preparation is None or not holds_arrays(path) or not is_there(path):
        return None  # who reads it says why
    try:
        shape = read_volumes(path).shape
    except HeclstmError:
        return None
    return shape[0] if len(shape) == len(card.preparation.source) + 1 else None


def _reasons(overrides: Mapping[str, str], patients: Sequence[Patient]) -> dict[Patient, str]:
    """Each for the only one who is called so."""
    reasons: dict[Patient, str] = {}
    for name, reason in overrides.items():
        found = [patient for patient in patients if name == patient.label]
        found = found or [patient for patient in patients if name == patient.name]
        if len(found) != 1:
            raise InputError(
                f"--override: {len(found)} of {len(patients)} patients are called {name[:64]!r}, expected one; give "
                "the input as it is listed, such as s084 or 'volumes.npy, row 3'"
            )
        reasons[found[0]] = reason
    return reasons


def encrypt_each(
    card: ProgramCard,
    inputs: Sequence[Path],
    key: Source,
    folder: Path,
    *,
    study: str = "",
    as_given: bool = False,
    selection: Selection = ANY,
    overrides: Mapping[str, str] = NONE,
    passphrase: Passphrase | None = None,
    threads: int | None = None,
    allow_insecure: bool = False,
    events: Events = SILENT,
) -> list[Outcome[Encrypted]]:
    """Queries are numbered in the order of the inputs: their names go to the server, those of patients must not. The
    case of each lies beside its query, and is called as the input is.

    overrides: why a decision is wanted about unusual images, by the name of the patient: the input, or its last part.

    Raises InputError for an override of nobody, or of several; FileFormatError if queries of an earlier call stand in
    the folder: numbers would mix two sets of patients.
    """
    patients = patients_of(inputs, card)
    reasons = _reasons(overrides, patients)
    width = max(3, len(str(len(patients))))
    outputs = [folder / f"query-{number:0{width}}.he" for number in range(1, len(patients) + 1)]
    if there := [path for path in sorted(folder.glob("query-*.he")) if path.is_file()]:
        raise FileFormatError(
            f"{there[0]}: is there already; choose a new folder, so that no two patients are mixed up"
        )
    options: dict[str, Any] = {"passphrase": passphrase, "threads": threads, "allow_insecure": allow_insecure}
    outcomes, alike = [], Alike(events)
    with hospital(card, key, events=events, **options) as client, events.stage(f"encrypting {len(patients)}") as update:
        for done, (patient, output) in enumerate(zip(patients, outputs, strict=True)):
            told = Told(events, patient.label)

            def work(patient: Patient = patient, output: Path = output, told: Told = told) -> Encrypted:
                which: dict[str, Any] = {"sequence": patient.sequence, "as_given": as_given, "selection": selection}
                images = read_handed_in([patient.path], card, patient.row, **which, events=told)
                name = one_line(patient.name, 200)
                reason = reasons.get(patient, "")
                made = encrypt(
                    card, images, client, output, name=name, study=study, override_envelope=reason, events=told
                )
                alike.look(patient.label, made.case.images)
                return made

            outcomes.append(attempt(patient.label, work, events))
            update(done + 1, len(patients))
    return outcomes
