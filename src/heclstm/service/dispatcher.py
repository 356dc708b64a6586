"""The thread between the queue and the workers: takes turns between tenants, leases, hears, and starts what died anew.

Everything that counts is in the database; this thread may be killed at any point and begun again by the next server.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty

from heclstm.service import admission, clock
from heclstm.service.admission import Slot
from heclstm.service.blobs import Blobs
from heclstm.service.config import Evaluation
from heclstm.service.database.connection import Unavailable
from heclstm.service.database.jobs import EvaluationRow
from heclstm.service.database.key_sets import READY, KeySetRow, KeySets
from heclstm.service.database.queue import Queue, fair
from heclstm.service.logs import log
from heclstm.service.metrics import Metrics
from heclstm.service.problems import storage_full
from heclstm.service.programs import Programs
from heclstm.service.workers.messages import (
    Any,
    Cancel,
    CloseKeys,
    Failed,
    Loaded,
    Prepare,
    Progress,
    Ready,
    Result,
    Task,
)
from heclstm.service.workers.pool import Early, Event, Pool

TICK_SECONDS = 0.5
_LOG = log("dispatcher")


class Dispatcher:
    """changed(job, progress=…): told what has changed, as `Hub.changed` is; in the thread of the dispatcher."""

    def __init__(
        self,
        pool: Pool,
        queue: Queue,
        key_sets: KeySets,
        blobs: Blobs,
        programs: Programs,
        settings: Evaluation,
        metrics: Metrics,
        changed: Callable[..., None],
        early: Early,
    ) -> None:
        self._pool, self._queue, self._key_sets, self._blobs = pool, queue, key_sets, blobs
        self._programs, self._settings, self._metrics, self._changed = programs, settings, metrics, changed
        self._events, self._pending = early.events, deque[Event]()  # heard, not dealt with: the database may be away
        self._slots = [Slot(worker, program) for program, worker in early.workers]
        self._turn, self._turns = 0, dict[str, int]()
        self._later: dict[int, float] = {}  # evaluation → not before this moment
        self._restart_at, self._deaths = 0.0, 0
        # Programs that fit into no machine (their bytes), and not beside the workers that there are: none is started.
        self._too_large, self._no_room = dict[str, int](), set[str]()
        self._beaten = self._assigned = float("-inf")
        self.pace: dict[str, float] = {}  # program → seconds of an evaluation, a running mean
        self._draining, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Workers begin to prepare at once; what an earlier run left is taken up."""
        recovered = self._queue.recover()
        if recovered:
            _LOG.info("requeued what an earlier run left", evaluations=recovered)
        self._fill()
        self._thread.start()

    def wake(self) -> None:
        """Something was queued."""
        self._events.put(None)

    def cancel(self, job: str) -> None:
        """Stop what runs of a job that is no more."""
        for slot in list(self._slots):
            if slot.row and slot.row.job == job:
                slot.worker.send(Cancel(slot.row.id))

    def close_keys(self, upload: str) -> None:
        """Let go of keys that are deleted."""
        for slot in list(self._slots):
            slot.open.pop(upload, None)
            slot.worker.send(CloseKeys((upload,), erased=True))  # it may lie in the cache of one that closed it

    @property
    def ready(self) -> bool:
        """Whether a worker could begin at once or is at work."""
        return any(slot.state in ("idle", "busy") for slot in list(self._slots))

    @property
    def workers(self) -> int:
        return max(1, sum(slot.state in ("idle", "busy") for slot in list(self._slots)))

    def slots(self) -> list[Slot]:
        """As they are now, to be looked at alone."""
        return list(self._slots)

    @property
    def memory_bytes(self) -> int:
        """That all workers together may have."""
        return self._pool.memory_bytes

    def running(self, evaluation: int) -> tuple[float, str] | None:
        """(share done, layer finished last) of one that runs here."""
        for slot in list(self._slots):
            if slot.row and slot.row.id == evaluation:
                return slot.share, slot.layer
        return None

    def drain(self) -> bool:
        """Begin nothing more, and wait for what runs; whether all ended in time. What did not is back in the queue."""
        self._draining.set()
        end = clock.steady() + self._settings.drain_seconds
        while clock.steady() < end and not self._stop.is_set() and any(slot.row for slot in list(self._slots)):
            self._stop.wait(0.05)
        self._stop.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        left = [slot.row for slot in self._slots if slot.row]
        for slot in self._slots:
            slot.worker.kill()
        for row in left:
            try:
                self._queue.give_back(row, counted=False)
            except Unavailable:
                _LOG.warning("the database is away; the next start requeues it", job=row.job)
        self._pool.close()
        return not left

    def hurry(self) -> None:
        """End draining now."""
        self._stop.set()

    # the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                news = self._hear()
                self._beat()
                if not self._draining.is_set() and (news or clock.steady() >= self._assigned + TICK_SECONDS):
                    self._assigned = clock.steady()
                    self._fill()
                    self._assign()
                self._count()
            except Unavailable as error:
                _LOG.warning("the database does not answer; waiting for it", error=type(error).__name__)
                self._beaten = float("-inf")  # look at once which leases are ours, when it does
                self._stop.wait(TICK_SECONDS)
            except Exception:
                _LOG.exception("a mistake of ours; going on")
                self._stop.wait(TICK_SECONDS)

    def _hear(self) -> bool:
        """Deal with all events, or wait for one; whether any was more than progress, after which others may begin. One
        that meets an absent database is kept.
        """
        news = False
        if not self._pending:
            with suppress(Empty):
                event = self._events.get(timeout=TICK_SECONDS)
                while True:
                    if event is not None:
                        self._pending.append(event)
                    news = news or event is None
                    event = self._events.get_nowait()
        while self._pending:
            worker, message = self._pending[0]
            slot = next((slot for slot in self._slots if slot.worker is worker), None)
            news = news or not isinstance(message, Progress)
            if slot:
                self._handle(slot, message)
            self._pending.popleft()
        return news

    def _handle(self, slot: Slot, message: Any | None) -> None:
        match message:
            case None:
                self._died(slot)
            case Loaded(program_bytes, key_bytes):
                self._admit(slot, program_bytes, key_bytes)
            case Ready(seconds, shared_bytes) if slot.state == "preparing":  # one that is refused may say so, too
                slot.state, slot.shared_bytes, self._deaths = "idle", shared_bytes, 0
                self._no_room.discard(slot.program)  # beside one that shares its program there may be
                _LOG.info("worker ready", worker=slot.worker.name, program=slot.program[:12], seconds=round(seconds, 2))
            case Failed() if slot.state == "preparing":
                self._no_room.add(slot.program)
                self._end(slot)
            case Progress(evaluation, share, layer):
                if slot.row and slot.row.id == evaluation:
                    slot.share, slot.layer, slot.heard = share, layer, clock.steady()
                    self._changed(slot.row.job, progress=True)
            case Result() | Failed() if slot.row and slot.row.id == message.evaluation:
                row = slot.row
                if isinstance(message, Result):
                    self._store(row, message)
                else:
                    self._failed(row, message)
                slot.row, slot.state = None, "idle"
                self._changed(row.job)

    def _store(self, row: EvaluationRow, result: Result) -> None:
        try:
            self._blobs.put(row.result_blob, result.content)
        except Exception as error:
            if storage_full(error) is None:
                raise
            _LOG.error("no disk space for a result; it will be computed again", job=row.job)
            self._again(row, counted=False)
            return
        if self._queue.finish(row, result.seconds):
            self._blobs.delete(row.query_blob)
        else:  # cancelled while it ran
            self._blobs.delete(row.result_blob)
        self._metrics.evaluated.labels("done").inc()
        self._metrics.evaluation_seconds.labels(row.program[:12]).observe(result.seconds)
        self.pace[row.program] = 0.8 * self.pace.get(row.program, result.seconds) + 0.2 * result.seconds

    def _failed(self, row: EvaluationRow, failure: Failed) -> None:
        if failure.code == "cancelled":
            self._queue.give_back(row, counted=False)  # if it is still there, it was not cancelled by its tenant
            return
        full = failure.code == "storage-full"
        if failure.again and (full or row.attempts + 1 < self._settings.attempts):
            _LOG.warning("evaluation will be tried again", job=row.job, code=failure.code, detail=failure.detail)
            self._again(row, counted=not full)
            return
        _LOG.error("evaluation failed", job=row.job, code=failure.code, detail=failure.detail)
        self._queue.fail(row, failure.code)
        self._metrics.evaluated.labels("failed").inc()

    def _again(self, row: EvaluationRow, *, counted: bool) -> None:
        self._queue.give_back(row, counted=counted)
        self._later[row.id] = clock.steady() + self._settings.retry_seconds

    def _died(self, slot: Slot) -> None:
        if slot.row:
            if slot.row.attempts + 1 >= self._settings.attempts:
                self._queue.fail(slot.row, "workers-died")
            else:
                self._queue.give_back(slot.row, counted=True)
            self._changed(slot.row.job)
        self._slots.remove(slot)
        if slot.state != "stopping":
            self._deaths += 1
            self._metrics.worker_deaths.inc()
            pause = 0.0 if self._deaths == 1 else min(30.0, 0.5 * 2.0 ** min(self._deaths, 10))
            self._restart_at = clock.steady() + pause
            _LOG.error("a worker died", worker=slot.worker.name, job=slot.row.job if slot.row else None)

    def _admit(self, slot: Slot, program_bytes: int, key_bytes: int) -> None:
        """May it prepare its program?"""
        shared = admission.shared_with(self._slots, slot)
        needed = program_bytes - shared + key_bytes
        free = self._pool.memory_bytes - admission.program_bytes(self._slots)
        if program_bytes + key_bytes > self._pool.largest_bytes:
            self._too_large[slot.program] = program_bytes + key_bytes
        elif needed > free:
            self._no_room.add(slot.program)
        else:
            slot.program_bytes, slot.shared_bytes, slot.key_bytes = program_bytes, shared, key_bytes
            slot.state = "preparing"
            slot.worker.send(Prepare())
            return
        _LOG.warning("no memory for a worker", program=slot.program[:12], needed_bytes=needed, free_bytes=free)
        self._end(slot)

    def _end(self, slot: Slot) -> None:
        slot.state = "stopping"
        slot.worker.kill()

    def _fill(self) -> None:
        """On start and after deaths: programs in turn, as many workers as there may be."""
        if clock.steady() < self._restart_at:
            return
        programs = [each for each in self._programs.active() if each not in self._too_large.keys() | self._no_room]
        while programs and len(self._slots) < self._pool.size:
            counts = {each: sum(slot.program == each for slot in self._slots) for each in programs}
            self._start(min(programs, key=lambda each: counts[each]))

    def _start(self, program: str) -> None:
        worker = self._pool.start(self._programs.folder(program), self._events)
        self._slots.append(Slot(worker, program))

    def _assign(self) -> None:
        """Give waiting queries to idle workers, the tenant first who waited for the most turns."""
        now = clock.steady()
        self._later = {id: moment for id, moment in self._later.items() if moment > now}
        while True:
            heads = fair(self._queue.heads(self._later), self._turns)
            served = {slot.program for slot in self._slots}
            if not any(slot.state == "idle" for slot in self._slots) and all(row.program in served for row in heads):
                return
            if not any(self._give(row, heads) for row in heads):  # stops at the first: turns have changed then
                return

    def _give(self, row: EvaluationRow, heads: list[EvaluationRow]) -> bool:
        """Whether a worker has begun it."""
        keys = self._key_sets.get(row.tenant, row.label)
        if keys is None or keys.state != READY:
            if self._queue.claim(row.id):
                self._queue.fail(row, "unknown-keys")
                self._changed(row.job)
            return True
        slot = admission.choose(self._slots, row.program, keys.upload)
        if slot is None:
            self._make_way(row, heads)
            return False
        closing = admission.make_room(self._slots, slot, keys.upload, self._pool.memory_bytes, self._settings.key_sets)
        if closing is None:
            return False
        return self._send(slot, row, keys, closing)

    def _send(self, slot: Slot, row: EvaluationRow, keys: KeySetRow, closing: dict[int, list[str]]) -> bool:
        if not self._queue.claim(row.id):
            return True  # another server was faster, or it was cancelled; the next round sees others
        try:
            query = self._blobs.read(row.query_blob)
        except Exception as error:
            detail = f"its query cannot be read ({type(error).__name__})"
            self._failed(row, Failed(row.id, "evaluation-failed", detail, again=True))
            return True
        for other in self._slots:
            for name in closing.get(id(other), ()):
                other.open.pop(name, None)
            if other is not slot and id(other) in closing:
                other.worker.send(CloseKeys(tuple(closing[id(other)])))
        slot.open[keys.upload] = slot.key_bytes
        slot.open.move_to_end(keys.upload)
        slot.row, slot.keys, slot.state = row, keys.upload, "busy"
        slot.since = slot.heard = clock.steady()
        slot.share, slot.layer = 0.0, ""
        self._turn += 1
        self._turns[row.tenant] = self._turn
        slot.worker.send(Task(row.id, keys.upload, query, tuple(closing.get(id(slot), ()))))
        self._changed(row.job)
        self._key_sets.used(row.tenant, row.label)
        return True

    def _make_way(self, row: EvaluationRow, heads: list[EvaluationRow]) -> None:
        """No worker of that program is idle: start one, if need be in the place of one that nobody waits for."""
        mine = [slot for slot in self._slots if slot.program == row.program]
        if any(slot.state in ("loading", "preparing") for slot in mine):
            return
        if not mine and row.program in self._too_large:
            if self._queue.claim(row.id):
                self._queue.fail(row, "too-large-for-server")
            return
        if row.program not in self._programs.all() or clock.steady() < self._restart_at:
            return
        wanted = {each.program for each in heads}
        idle = [slot for slot in self._slots if slot.state == "idle" and slot.program != row.program]
        spare = next((slot for slot in idle if slot.program not in wanted), idle[0] if idle and not mine else None)
        if len(self._slots) >= self._pool.size or row.program in self._no_room:
            if spare is None:
                return
            self._end(spare)
            self._slots.remove(spare)
            if row.program in self._no_room:
                self._no_room = {spare.program}
        self._start(row.program)

    def _beat(self) -> None:
        now = clock.steady()
        if now - self._beaten < self._settings.lease_seconds / 3:
            return
        running = {slot.row.id: slot for slot in self._slots if slot.row}
        for id in running.keys() - self._queue.beat(running.keys()):
            running[id].worker.send(Cancel(id))  # deleted by its tenant at another server
        if self._queue.take_over(self._settings.lease_seconds):
            _LOG.warning("took over what another server left")
        if self._queue.requeue_strays([slot.row.id for slot in self._slots if slot.row]):
            _LOG.warning("requeued what was leased here and had not begun")
        for slot in self._slots:
            if slot.row and now - slot.heard > self._settings.hang_seconds:
                _LOG.error("a worker hangs, and is ended", worker=slot.worker.name, job=slot.row.job)
                slot.worker.kill()
        self._beaten = now
        self._no_room.clear()
        self._too_large = {each: size for each, size in self._too_large.items() if size > self._pool.largest_bytes}

    def _count(self) -> None:
        states = [slot.state for slot in self._slots]
        for state in ("loading", "preparing", "idle", "busy"):
            self._metrics.workers.labels(state).set(states.count(state))
        self._metrics.open_key_bytes.set(admission.key_bytes(self._slots))
        self._metrics.memory_bytes.set(admission.memory(self._slots))
