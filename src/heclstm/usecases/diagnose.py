"""Many patients' images → diagnoses, by the server that a hospital is connected to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.data.dicom import ANY, Selection
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.deploy.wire import Message
from heclstm.errors import FileFormatError, HeclstmError, InputError, NetworkError, OutputError, RefusedError
from heclstm.network.answers import JobStatus
from heclstm.network.hospital import Keep
from heclstm.network.pending import Pending
from heclstm.network.remote import Remote
from heclstm.report.findings import Findings
from heclstm.report.words import chance, remarks
from heclstm.storage.typed import one_line
from heclstm.usecases import encrypt_each
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.each import Alike, Outcome, Told, attempt
from heclstm.usecases.encrypt import encrypt
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.images import read_handed_in

AT_ONCE = 4
NAME_MAX = 200  # of a diagnosis
_NAMING = threading.Lock()
OnStatus = Callable[[JobStatus], None]


@dataclass(frozen=True)
class Patient:
    """One sequence. index, sequence: which one, of a NumPy file or of a manifest that holds many. place: the folder
    that the path lies in, where another patient has the same name.
    """

    path: Path
    index: int | None = None
    sequence: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        number = "" if self.index is None else f", {self.index}"
        own = self.sequence or f"{self.path.name[-NAME_MAX + 12 :]}{number}"
        return one_line(f"{self.place}/{own}" if self.place else own, NAME_MAX)


@dataclass(frozen=True)
class Diagnosed:
    """file: where the findings were saved."""

    findings: Findings
    file: Path | None = None

    def to_json(self) -> dict[str, Any]:
        diagnosis = self.findings.diagnosis
        data: dict[str, Any] = {"decision": diagnosis.decision, "score": diagnosis.score}
        if (found := chance(self.findings)) is not None:
            data["probability"] = found
        if said := remarks(self.findings):
            data["remarks"] = list(said)
        return data | ({"file": str(self.file)} if self.file else {})


def patients_of(paths: Sequence[Path], card: ProgramCard, rows: Sequence[int] = ()) -> list[Patient]:
    """One of each path, but all sequences of a manifest (.csv), and all of a NumPy file that holds many, or these rows.

    Raises InputError for rows of several files, FileFormatError for a manifest that cannot be read.
    """
    if rows and len(paths) > 1:
        raise InputError(f"index: chooses patients of one file, but there are {len(paths)}; diagnose them one by one")
    if rows:
        return [Patient(paths[0], row) for row in rows]
    found: list[Patient] = []
    for path in paths:
        found += [Patient(each.path, each.row, each.sequence) for each in encrypt_each.patients_of([path], card)]
    twice = {name for name, count in Counter(each.name for each in found).items() if count > 1}
    return [replace(each, place=each.path.absolute().parent.name) if each.name in twice else each for each in found]


def diagnose(
    remote: Remote,
    patients: Sequence[Patient],
    output: Path | None = None,
    *,
    study: str = "",
    at_once: int = AT_ONCE,
    as_given: bool = False,
    selection: Selection = ANY,
    events: Events = SILENT,
) -> list[Outcome[Diagnosed]]:
    """In the order of `patients`. What goes wrong with one of them is its own; the others go on. What stands in the way
    of all (a token, a retired program, no server) ends it, and is told of each that was not done.

    output: a folder for a diagnosis file each. at_once: how many patients are read and waited for at a time. What is
    sent and when does not depend on any decrypted value.
    """
    hospital, card = remote.hospital, remote.hospital.site.card()
    tell_warnings(card, events)
    if earlier := hospital.pending.all():
        events.note(f"note: {len(earlier)} earlier queries are under way; `heclstm jobs --collect` reads their results")
    hospital.open()  # asks for a passphrase now, and not in the middle of it
    alike, heard = Alike(events), Told(events)  # what holds for all of them is said once

    def one(patient: Patient, told: OnStatus, keep: Keep) -> Diagnosis:
        images = read_handed_in(
            [patient.path], card, patient.index,
            sequence=patient.sequence, as_given=as_given, selection=selection, events=Told(events, patient.name),
        )  # fmt: skip

        def make(client: Client) -> tuple[Message, Case]:
            made = encrypt(card, images, client, name=patient.name, study=study, events=heard)
            alike.look(str(patient.path) if patient.place else patient.name, made.case.images, patient)
            return made.query, made.case

        return remote.transport.run(hospital.diagnose(make, told, keep))

    return _all([Task(each.name, card, partial(one, each)) for each in patients], output, at_once, events)


def resume(
    remote: Remote, patients: Sequence[Patient], output: Path, *, events: Events = SILENT, **options: Any
) -> list[Outcome[Diagnosed]]:
    """As `diagnose`, after an earlier call of the same patients: what was under way is collected, and who has a
    diagnosis of that name in `output` is not sent again. Raises InputError if two patients have one name.
    """
    counts = Counter(each.name for each in patients)
    if twice := [each for each in patients if counts[each.name] > 1]:
        raise InputError(
            f"{twice[0].path} and {twice[1].path}: are both called {twice[0].name!r}, so it is not known which of them "
            "has a diagnosis; rename one, or leave it out"
        )
    if earlier := remote.hospital.pending.all():
        collect(remote, earlier, output, events=events)
    there = {patient: path for patient in patients if (path := _diagnosis_of(patient.name, output))}
    left = iter(diagnose(remote, [each for each in patients if each not in there], output, events=events, **options))
    return [Outcome(each.name, kept=there[each]) if each in there else next(left) for each in patients]


def collect(
    remote: Remote, pending: Sequence[Pending], output: Path | None = None, *, events: Events = SILENT
) -> list[Outcome[Diagnosed]]:
    """The results of queries that an earlier run has sent, or was about to."""
    hospital = remote.hospital
    for label in dict.fromkeys(each.key for each in pending):
        hospital.client(label)

    def one(each: Pending, told: OnStatus, keep: Keep) -> Diagnosis:
        return remote.transport.run(hospital.collect(each, told, keep))

    card_of = hospital.site.card
    tasks = [Task(each.name or each.query[:12], card_of(each.case.program), partial(one, each)) for each in pending]
    return _all(tasks, output, AT_ONCE, events)


@dataclass(frozen=True)
class Task:
    """work: tells how far it is, and hands over the diagnosis before the encrypted result goes."""

    name: str
    card: ProgramCard
    work: Callable[[OnStatus, Keep], Diagnosis]

    def done(self, output: Path | None, told: OnStatus) -> Diagnosed:
        made: list[Diagnosed] = []

        def keep(diagnosis: Diagnosis, case: Case) -> None:
            findings = Findings(diagnosis, self.card.purpose, self.card.digest, case=case)
            made.append(Diagnosed(findings, _saved(findings, self.name, output) if output else None))

        self.work(told, keep)
        return made[0]


def _all(tasks: Sequence[Task], output: Path | None, at_once: int, events: Events) -> list[Outcome[Diagnosed]]:
    shares, lock, stopped = [0.0] * len(tasks), threading.Lock(), threading.Event()
    reasons: list[str] = []

    def work(number: int, update: Callable[[float, float], None]) -> Outcome[Diagnosed]:
        task = tasks[number]

        def told(share: float) -> None:
            with lock:
                shares[number] = share
                update(sum(shares), len(tasks))

        def on_status(status: JobStatus) -> None:
            told(0.05 + 0.9 * status.progress)

        try:
            if stopped.is_set():
                return Outcome(task.name, error=HeclstmError(f"not done: {reasons[0] if reasons else 'stopped'}"))
            outcome = attempt(task.name, lambda: task.done(output, on_status), events)
            if outcome.error is not None and _is_for_all(outcome.error):
                reasons.append(str(outcome.error))
                stopped.set()
            return outcome
        finally:
            told(1.0)

    with events.stage("diagnosing") as update, ThreadPoolExecutor(max(1, at_once), "patient") as pool:
        futures = [pool.submit(work, number, update) for number in range(len(tasks))]
        try:
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C: what was sent stays on disk, as under way
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_for_all(error: Exception) -> bool:
    """Whether the next patient would fail for it too."""
    if isinstance(error, RefusedError):
        return error.code in ("unauthorized", "forbidden", "retired-program", "unknown-program", "quota-daily", "")
    return isinstance(error, NetworkError)


def _saved(findings: Findings, name: str, folder: Path) -> Path:
    """Under a name that no file in the folder has: a diagnosis is never replaced."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _NAMING:
        for number in range(100_000):
            path = _path(folder, name, number)
            if path.exists():
                continue
            try:
                findings.save(path, replace=False)
            except OutputError:
                if path.exists():  # another process was faster
                    continue
                raise
            return path
    raise FileFormatError(f"{folder}: holds too many diagnoses of one name; choose another folder")


def _diagnosis_of(name: str, folder: Path) -> Path | None:
    """The file of this very name: others may have it beside theirs, for not every letter can stand in one of a file."""
    for number in range(100_000):
        path = _path(folder, name, number)
        if not path.exists():
            return None
        with suppress(FileFormatError):
            if Findings.load(path).diagnosis.name == name:
                return path
    return None


def _path(folder: Path, name: str, number: int) -> Path:
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:100].strip("-")
    return folder / f"{stem or 'case'}{f'-{number}' if number else ''}.json"
