"""One study from its last image to reports that the PACS has confirmed, step by step.

Each step leaves on the disk what the next one needs, and is the same if it is done twice: a query that was sent is
collected and not sent again, a diagnosis that lies here is not asked for, reports keep their UIDs.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heclstm.data.dicom.library import read_header
from heclstm.data.dicom.values import text
from heclstm.data.handed_in import HandedIn
from heclstm.data.sources import Source
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.deploy.wire import Message
from heclstm.errors import Cancelled, FileFormatError, HeclstmError, InputError, NetworkError, RefusedError
from heclstm.gateway import sender, stow
from heclstm.gateway.arrivals import Places, as_it_came
from heclstm.gateway.choice import chosen, print_of
from heclstm.gateway.config import Config
from heclstm.gateway.journal import DISPUTED, Journal, Report, State, Study
from heclstm.gateway.logs import log
from heclstm.network.answers import JobStatus
from heclstm.network.pending import Pending
from heclstm.network.remote import Remote
from heclstm.report.dicom.study import uid_of
from heclstm.report.findings import Findings
from heclstm.storage.atomic import save_file
from heclstm.usecases.encrypt import encrypt
from heclstm.usecases.export import export
from heclstm.usecases.images import read_handed_in

CHANGED = "images are gone from the disk, or are not as they came; send the study again"
ERASED = "images came after earlier ones of it were erased; send the whole study again"
# Of a server: what holds for all studies, and passes when somebody has done something about it.
FOR_ALL = ("unauthorized", "forbidden", "retired-program", "unknown-program", "quota-daily", "quota-keys", "")


@dataclass(frozen=True)
class Meant:
    """The images of a study that are diagnosed. print: by which they are known again."""

    paths: tuple[Path, ...]
    print: str


class Work:
    """Several threads may do steps of different studies. stop: ends what takes long; it goes on at the next start."""

    def __init__(self, config: Config, journal: Journal, places: Places, remote: Remote, stop: threading.Event) -> None:
        self._config, self._journal, self._places = config, journal, places
        self._remote, self._stop = remote, stop
        self._steps: dict[State, Callable[[Study], State]] = {
            "collecting": self._collected,
            "diagnosing": self._diagnosed,
            "storing": self._stored,
            "committing": self._committed,
        }

    def go_on(self, study: Study) -> None:
        """As many steps as can be done now. What goes wrong is in the journal, and nothing is raised."""
        try:
            state = study.state
            while state in self._steps and not self._stop.is_set():
                following = self._steps[state](self._now(study))
                if following == state:
                    return  # it waits for something
                log("study", study=study.label, state=following)
                state = following
        except Cancelled:
            return
        except Exception as error:  # whatever it is, the other studies go on
            self._failed(self._now(study), error)

    def _failed(self, study: Study, error: Exception) -> None:
        place = type(error).__name__
        if _is_final(error):
            self._journal.move(study, "aside", f"{place}: {error}")
            log("aside", study=study.label, kind=place)
            return
        pause = self._config.retry.pause(study.attempts)
        self._journal.again(study, pause, f"{place}: {error}")
        log("again", study=study.label, state=study.state, kind=place, attempt=study.attempts + 1, seconds=pause)

    def _now(self, study: Study) -> Study:
        found = self._journal.study(study.label)
        return study if found is None else found

    # steps: each returns the state that follows

    def _collected(self, study: Study) -> State:
        study = self._journal.begin(study)
        images = self._journal.images(study)
        if self._journal.is_disputed(study):
            return self._to(study, "aside", DISPUTED)
        if not all(image.present for image in images):
            return self._to(study, "aside", ERASED)
        if not self._as_they_came(study):
            return self._to(study, "aside", CHANGED)
        meant = self._meant(study)
        if not meant.paths:
            return self._to(study, "ignored")
        if meant.print == study.print:
            return self._to(study, "storing" if self._journal.reports(study) else "done")
        return self._to(study, "diagnosing")

    def _diagnosed(self, study: Study) -> State:
        if self._journal.is_disputed(study):
            return self._to(study, "aside", DISPUTED)
        if not self._as_they_came(study):
            return self._to(study, "aside", CHANGED)
        meant = self._meant(study)
        images: HandedIn | None = None
        path = self._places.diagnosis(study.label, meant.print)
        if not path.is_file():
            under_way = self._under_way(study, meant)
            if under_way is None and study.arrivals != study.taken:
                return self._to(study, "collecting")  # nothing was asked yet, and more has come
            images = self._ask_for(study, meant, path, under_way)
        findings = Findings.load(path)
        images = images or self._read(meant, findings)
        made = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        exported = export(findings, images, made, with_summary=self._config.store.summary)
        reports = []
        for name, content in exported.files.items():
            file = self._places.report(study.label, meant.print, name)
            save_file(file, content, 0o600)
            reports.append(_report(file))
        self._journal.add_reports(study, reports, meant.print)
        return "storing"

    def _stored(self, study: Study) -> State:
        if self._journal.is_disputed(study):
            return self._to(study, "aside", DISPUTED)
        left = [report for report in self._journal.reports(study) if not report.stored]
        wanted = self._config.store.asks_commitment
        if left:
            (stow if self._config.store.url else sender).store(left, self._config)
            self._journal.stored([report.uid for report in left], committed=not wanted)
        return self._to(study, "committing" if wanted else "done")

    def _committed(self, study: Study) -> State:
        if not self._config.store.asks_commitment:  # any more
            return self._to(study, "storing")
        left = self._journal.reports(study)
        if not left:
            return self._to(study, "done")
        if not all(report.stored for report in left):
            self._journal.move(study, "storing")
            raise NetworkError("store: the PACS did not commit to a report; it is sent again")
        transaction = uid_of(secrets.token_hex(16), "transaction")
        self._journal.asked([report.uid for report in left], transaction)
        pause = self._config.store.commitment_seconds * 2.0 ** min(study.attempts, 10)
        self._journal.again(study, pause, "the PACS has not yet said that it commits to its reports")
        sender.ask(left, transaction, self._config)
        return "committing"

    # within

    def _to(self, study: Study, state: State, reason: str = "") -> State:
        state = self._journal.move(study, state, reason)
        if state == "aside":
            log("aside", study=study.label, kind=reason.partition(";")[0])
        return state

    def _as_they_came(self, study: Study) -> bool:
        """Whether all images lie there as their senders sent them: what is on a disk may change there."""
        return all(as_it_came(self._places.image(study.label, each.file)) for each in self._journal.images(study))

    def _meant(self, study: Study) -> Meant:
        digests = {self._places.image(study.label, each.file): each.digest for each in self._journal.images(study)}
        paths = chosen(list(digests), self._config.selection)
        return Meant(tuple(paths), print_of([digests[path] for path in paths]))

    def _under_way(self, study: Study, meant: Meant) -> Pending | None:
        """The query of an earlier start."""
        mark = _mark(study, meant)
        return next((each for each in self._remote.hospital.pending.all() if each.case.study == mark), None)

    def _ask_for(self, study: Study, meant: Meant, path: Path, under_way: Pending | None) -> HandedIn | None:
        """The diagnosis, by the server; saved before its encrypted result is forgotten. Returns the images, if read."""
        hospital = self._remote.hospital

        def keep(diagnosis: Diagnosis, case: Case) -> None:
            card = hospital.site.card(case.program)
            Findings(diagnosis, card.purpose, card.digest, case=case).save(path)

        if under_way is not None:
            self._remote.transport.run(hospital.collect(under_way, self._told, keep))
            return None
        card = hospital.site.card()
        images = read_handed_in(meant.paths, card, selection=self._config.selection)

        def make(client: Client) -> tuple[Message, Case]:
            made = encrypt(card, images, client, study=_mark(study, meant))
            return made.query, made.case

        self._remote.transport.run(hospital.diagnose(make, self._told, keep))
        return images

    def _read(self, meant: Meant, findings: Findings) -> HandedIn:
        return read_handed_in(meant.paths, findings.purpose, selection=self._config.selection)

    def _told(self, status: JobStatus) -> None:
        if self._stop.is_set():
            raise Cancelled("gateway: is being stopped")


def _mark(study: Study, meant: Meant) -> str:
    """By which a query is known again as that of these images; it stays in the hospital, in the query's case."""
    return f"{study.label} {meant.print[:16]}"


def _report(file: Path) -> Report:
    header, _ = read_header(Source(file))
    return Report(text(header, "SOPInstanceUID"), text(header, "SOPClassUID"), str(file), False, "", False)


def _is_final(error: Exception) -> bool:
    """Whether the same images would fail in the same way another time."""
    if isinstance(error, RefusedError):
        return not error.passing and error.code not in FOR_ALL
    if isinstance(error, InputError | FileFormatError):
        return True
    return not isinstance(error, HeclstmError | OSError)  # nobody thought of it
