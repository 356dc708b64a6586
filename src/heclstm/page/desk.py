"""What is open at the workstation: the site, its secret key while somebody unlocked it, and what is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from heclstm.data.dicom import Selection
from heclstm.data.images import DICOM
from heclstm.deploy.case import Case
from heclstm.errors import Cancelled, HeclstmError, InputError
from heclstm.network.pending import Pending
from heclstm.network.remote import Remote
from heclstm.network.site import Site, erase
from heclstm.network.trust import Wish
from heclstm.page.exports import exported
from heclstm.page.progress import Progress
from heclstm.page.records import Record, Records
from heclstm.report.findings import Findings
from heclstm.storage.typed import one_line
from heclstm.templates.language import marked
from heclstm.usecases.connect import Offer, connect
from heclstm.usecases.diagnose_one import STEPS, Step, diagnose_one, go_on
from heclstm.usecases.study import Study, examine

AT_ONCE = 4
REMEMBERED = 8  # studies that were looked at, in memory
EXPORT_SECONDS = 60.0  # that an export may take longer than its result
TITLES = dict(
    zip(
        STEPS,
        (
            marked("encrypting on this machine"),
            marked("sending"),
            marked("waiting for the server"),
            marked("computing under encryption"),
            marked("decrypting on this machine"),
        ),
        strict=True,
    )
)
SETTING_UP = (marked("checking the server"), marked("making keys"), marked("uploading keys"))


class Desk:
    """Routes in several threads share one."""

    def __init__(self, site: Path, *, threads: int | None = None, allow_insecure: bool = False) -> None:
        self.folder, self.records = site, Records(site)
        self.options: dict[str, Any] = {"threads": threads, "allow_insecure": allow_insecure}
        self.offer: tuple[Wish, Offer] | None = None  # what the set-up has found, until keys are made
        self.setting_up: Progress | None = None
        self.studies: dict[str, Study] = {}  # as they were read, until they are sent
        self.running: dict[str, Progress] = {}
        self.exporting: dict[str, Future[None]] = {}
        self._counts: dict[str, int] = {}
        self.on_quit: Callable[[], None] = lambda: None
        self._remote: Remote | None = None
        self._passphrase: str | None = None
        self._queries: dict[str, str] = {}  # of what runs, known also when its record is erased meanwhile
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "study")

    def recover(self) -> None:
        """What an earlier process left when it was killed: what was sent can be gone on with."""
        for record in self.records.all():
            if record.state == "done":
                self.records.let_go(record.id)
            elif record.state == "running" and self.pending(record) is None:
                self.records.change(record.id, state="received", query=None)

    # the site

    @property
    def ready(self) -> bool:
        """Connected, with keys at the server."""
        return Site.exists(self.folder) and Site.load(self.folder).state.key is not None

    @property
    def locked(self) -> bool:
        """Whether somebody must type the passphrase: the key is sealed, and no keyring of the system opens it."""
        site = Site.load(self.folder)
        return self._passphrase is None and site.seals and site.state.keyring is None

    def unlock(self, passphrase: str) -> None:
        """Raises InputError for a wrong passphrase. It stays in the memory of this process."""
        remote = Remote(self.folder, passphrase=passphrase, **self.options)
        try:
            remote.hospital.open()
        except BaseException:
            remote.close()
            raise
        with self._lock:
            self._close_remote()
            self._remote, self._passphrase = remote, passphrase

    @property
    def remote(self) -> Remote:
        with self._lock:
            if self._remote is None:
                self._remote = Remote(self.folder, passphrase=self._passphrase, **self.options)
            return self._remote

    def set_up(self, wish: Wish, passphrase: str | None) -> None:
        """Make keys and upload them, in a thread."""
        progress = self.setting_up = Progress.of(SETTING_UP)

        def work() -> None:
            options = {"passphrase": (lambda: passphrase) if passphrase else None, "threads": self.options["threads"]}
            progress.reach(SETTING_UP[0])
            connect(wish, seal=passphrase is not None, events=progress, **options)
            with self._lock:
                self._close_remote()
                self._passphrase, self.offer = passphrase, None
            erase(self.records.given)

        self._begin(progress, work)

    # studies

    def study(self, record: Record) -> Study:
        """Its files, read as was chosen; once, as long as nothing else is chosen."""
        if (found := self.studies.get(record.id)) is None:
            rules = {"series": record.series, "burnt_in": "accept" if record.burnt_in else "refuse"}
            card, inputs = self.remote.hospital.site.card(), self.records.inputs(record.id)
            selection = Selection.of(rules)
            found = examine(inputs, card, selection=selection, row=record.row, as_given=record.as_given)
            self.studies[record.id] = found
            for id in list(self.studies)[:-REMEMBERED]:
                self.studies.pop(id, None)  # read again if somebody comes back to it
        return found

    def count(self, id: str) -> int:
        """How many files of a study have come, with the one that comes now."""
        self._counts[id] = self._counts.get(id, 0) + 1
        return self._counts[id]

    def is_dicom(self, record: Record) -> bool:
        """Whether it was read from DICOM files, as long as it is remembered."""
        found = self.studies.get(record.id)
        return found is not None and found.images is not None and found.images.kind == DICOM

    def start(self, record: Record, study: Study) -> None:
        """Encrypt and send, in a thread. Raises InputError unless it can be sent."""
        images = study.images
        if images is None or study.undecidable:
            raise InputError(marked("study: cannot be sent as it is"))
        progress = self._new_progress(record.id)
        try:
            self.records.keep_images(record.id, images.sequence)
            self.records.change(record.id, state="running", problem="")
        except BaseException:
            self.running.pop(record.id, None)
            raise

        def begun(case: Case) -> None:
            self._queries[record.id] = case.query
            self.records.change(record.id, query=case.query)

        def work() -> None:
            facts = {"name": record.patient, "study": record.study, "override_envelope": record.override}
            told = {"begun": begun, "on_step": _reach(progress), "events": progress}
            diagnose_one(self.remote, images, self._save(record.id), **facts, **told)  # type: ignore[arg-type]

        self._begin(progress, work, record.id)

    def go_on(self, record: Record) -> None:
        """With what an earlier process has sent. Raises InputError if nothing is under way for it."""
        if (pending := self.pending(record)) is None:
            raise InputError(marked("study: nothing is under way for it; start it again"))
        progress = self._new_progress(record.id)
        self.records.change(record.id, state="running", problem="")
        self._queries[record.id] = pending.query
        steps = {"on_step": _reach(progress)}
        self._begin(progress, lambda: go_on(self.remote, pending, self._save(record.id), **steps), record.id)

    def pending(self, record: Record) -> Pending | None:
        return self._pending(record.query)

    def _pending(self, query: str | None) -> Pending | None:
        if query is None or not self.ready:
            return None
        return next((each for each in self.remote.hospital.pending.all() if each.query == query), None)

    def cancel(self, record: Record) -> None:
        """End it here and at the server, as soon as the next answer comes."""
        if (progress := self.running.get(record.id)) is not None:
            progress.cancelled.set()

    def erase(self, record: Record) -> None:
        """All that lies here of a study; what is under way for it is cancelled."""
        self.cancel(record)
        if record.id not in self.running:
            self._withdraw(record.query)
        self.studies.pop(record.id, None)
        self.records.erase(record.id)

    def close(self) -> None:
        """Erase what nobody asked to keep. What is under way stays so, and is found at the next start."""
        wait(self.exporting.values(), EXPORT_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.records.erase_unwanted(lambda record: record.query is not None)
        with self._lock:
            self._close_remote()

    def _new_progress(self, id: str) -> Progress:
        with self._lock:
            if id in self.running:
                raise InputError(marked("study: is under way already"))
            self.running[id] = Progress.of(tuple(TITLES.values()))
            return self.running[id]

    def _save(self, id: str) -> Callable[[Findings], None]:
        """What keeps a diagnosis. What a PACS would keep of it is made afterwards, while the result is looked at."""

        def save(findings: Findings) -> None:
            self.records.done(id, findings)
            self.exporting[id] = self._pool.submit(self._export, id, findings)

        return save

    def _export(self, id: str, findings: Findings) -> None:
        """While its files are there, which are let go of then."""
        try:
            record = self.records.get(id)
            images = self.study(record).images if record is not None else None
            if images is not None and images.kind == DICOM:
                self.records.keep_export(id, exported(findings, images))
        finally:
            self.studies.pop(id, None)
            self.records.let_go(id)
            self.exporting.pop(id, None)

    def _begin(self, progress: Progress, work: Callable[[], Any], id: str = "") -> None:
        def run() -> None:
            try:
                work()
                progress.end()
            except Cancelled:
                if id:
                    self._withdraw(self._queries.get(id))
                    self._failed(id, "")
                progress.end("cancelled")
            except Exception as error:  # a thread has nobody else to tell
                text = (
                    str(error)
                    if isinstance(error, HeclstmError | OSError)
                    else marked("a mistake of ours ({kind})").format(kind=type(error).__name__)
                )
                self._failed(id, text)
                progress.end(text)
            finally:
                self.running.pop(id, None)
                query = self._queries.pop(id, None)
                if id and self.records.get(id) is None:  # erased meanwhile
                    self._withdraw(query)

        self._pool.submit(run)

    def _failed(self, id: str, problem: str) -> None:
        """A study goes back to where it can be started again, or is gone already."""
        with suppress(InputError):
            record = self.records.get(id) if id else None
            if record is not None:
                under_way = self.pending(record) is not None
                fields = {} if under_way else {"query": None}
                state = "failed" if problem else "received"
                self.records.change(id, state=state, problem=one_line(problem), **fields)

    def _withdraw(self, query: str | None) -> None:
        if (pending := self._pending(query)) is not None:
            with suppress(HeclstmError):  # without the server: it is forgotten here, and expires there
                self.remote.transport.run(self.remote.hospital.cancel(pending))
            self.remote.hospital.pending.remove(pending)

    def _close_remote(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None


def _reach(progress: Progress) -> Callable[[Step], None]:
    def on_step(step: Step) -> None:
        progress.reach(TITLES[step.name], step.share, position=step.position, seconds_left=step.seconds_left)

    return on_step
