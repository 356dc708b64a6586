"""The dispatcher with workers that only pretend: memory, programs that change, keys that come and go."""

from collections import OrderedDict
from types import SimpleNamespace

import pytest

from heclstm.service import admission
from heclstm.service.admission import Slot
from heclstm.service.blobs import FolderBlobs
from heclstm.service.config import Evaluation, Quotas
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs, NewJob
from heclstm.service.database.key_sets import READY, KeySetRow, KeySets
from heclstm.service.database.migrate import upgrade
from heclstm.service.database.queue import Queue
from heclstm.service.dispatcher import Dispatcher
from heclstm.service.metrics import Metrics
from heclstm.service.workers.messages import Cancel, Failed, Loaded, Prepare, Progress, Ready, Result, Task
from heclstm.service.workers.pool import Early, start_early

ONE, TWO = "1" * 64, "2" * 64


class Pretended:
    shares_pages = True

    def __init__(self, pool, program, events):
        self.pool, self.program, self.events = pool, program, events
        self.name, self.dead, self.tasks = program, False, []

    def send(self, message):
        if isinstance(message, Prepare):
            self.events.put((self, Ready(0.1, self.pool.shared_bytes)))
        elif isinstance(message, Task):
            self.tasks.append(message)
            if (answer := self.pool.answer(message)) is not None:
                self.events.put((self, answer))
        elif isinstance(message, Cancel):
            self.events.put((self, Failed(message.evaluation, "cancelled", "")))

    def kill(self):
        if not self.dead:
            self.dead = True
            self.pool.alive.remove(self)
            self.events.put((self, None))


class PretendedPool:
    """program_bytes: of each worker. Answers at once with a result, or as told."""

    def __init__(self, size=2, memory_bytes=1000, program_bytes=100, key_bytes=10, shared_bytes=0):
        self.shared_bytes = shared_bytes
        self.size, self.loaded = size, Loaded(program_bytes, key_bytes)
        self.memory_bytes = self.largest_bytes = memory_bytes
        self.alive, self.started = [], []
        self.answer = lambda task: Result(task.evaluation, b"result", 0.1)

    def start(self, folder, events):
        worker = Pretended(self, folder, events)
        self.alive.append(worker)
        self.started.append(folder)
        events.put((worker, self.loaded))
        return worker

    def close(self):
        """It holds nothing."""


@pytest.fixture
def world(tmp_path):
    """A dispatcher that is driven by hand: world.turn() hears, fills and assigns until nothing more happens."""
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(database)
    key_sets, jobs, queue, blobs = KeySets(database), Jobs(database), Queue(database, "me"), FolderBlobs(tmp_path)
    metrics = Metrics()

    def make(pool, programs=(ONE,), **settings):
        offered = SimpleNamespace(
            active=lambda: list(programs), all=lambda: dict.fromkeys(programs), folder=lambda d: d
        )
        early, news = start_early(pool, {program: program for program in programs}), []

        def told(job, *, progress=False):
            news.append((job, progress))

        found = Dispatcher(pool, queue, key_sets, blobs, offered, Evaluation(**settings), metrics, told, early)

        def turn(times=30):
            for _ in range(times):
                found._events.put(None)
                found._hear()
                found._fill()
                found._assign()

        return SimpleNamespace(dispatcher=found, turn=turn, pool=pool, news=news)

    def accept(tenant, program=ONE, queries=1, name=None):
        label = program[0] * 32
        upload = f"{tenant}{program[0]}".ljust(32, "0")
        key_sets.begin(KeySetRow(tenant, label, program, READY, upload, 1, 1, 0.0, 0.0), 100)
        id = f"{tenant}{program[0]}{name}".ljust(32, "0")
        for number in range(queries):
            blobs.put(f"queries/{id}-{number}", b"query")
        jobs.accept(NewJob(id, tenant, id, "0" * 64, program, label, queries), Quotas())
        return id

    yield SimpleNamespace(make=make, accept=accept, jobs=jobs, queue=queue)
    database.close()


def test_early_workers_are_taken_over_and_work(world):
    here = world.make(PretendedPool(size=2))
    job = world.accept("a", queries=5)
    here.turn()
    assert world.jobs.get("a", job).state == "done"
    assert len(here.pool.started) == 2


def test_a_program_that_never_fits_fails_its_queries(world):
    here = world.make(PretendedPool(memory_bytes=105))
    job = world.accept("a")
    here.turn()
    row = world.jobs.get("a", job)
    assert (row.state, row.evaluations[0].problem) == ("failed", "too-large-for-server")


def test_a_program_for_which_no_machine_is_large_enough_fails_its_queries(world):
    """There may be enough of them together."""
    pool = PretendedPool(memory_bytes=1000)
    pool.largest_bytes = 105
    here = world.make(pool)
    job = world.accept("a")
    here.turn()
    assert world.jobs.get("a", job).evaluations[0].problem == "too-large-for-server"


def test_a_program_fits_again_when_a_larger_machine_comes(world):
    """Its workers had been refused, and it was refused until the server's next start."""
    pool = PretendedPool(memory_bytes=1000)
    pool.largest_bytes = 105
    here = world.make(pool)
    world.accept("a", name="early")
    here.turn()
    pool.largest_bytes = 1000
    here.dispatcher._beat()
    job = world.accept("a", name="late")
    here.turn()
    assert world.jobs.get("a", job).state == "done"


def test_what_needs_a_machine_that_restarts_waits_for_it(world):
    """The largest that there was is what counts, as a Ray pool tells it; meanwhile no other has room."""
    pool, send = PretendedPool(size=1), Pretended.send
    here = world.make(pool)
    here.turn()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretended, "send", lambda worker, message: worker.events.put((worker, Failed(0, "", "", True))))
        pool.alive[0].kill()
        job = world.accept("a")
        here.turn()
        assert world.jobs.get("a", job).state == "queued"
    assert Pretended.send is send
    here.dispatcher._beaten = float("-inf")
    here.dispatcher._beat()
    here.turn()
    assert world.jobs.get("a", job).state == "done"


def test_a_worker_for_which_no_machine_has_room_waits_for_one_that_nobody_wants(world):
    """Two machines for one worker each: that of the first program makes way for the second one's."""
    pool = PretendedPool(size=4, memory_bytes=220)
    here, send = world.make(pool, programs=(ONE, TWO)), Pretended.send

    def placed(worker, message):
        if isinstance(message, Prepare) and len([each for each in pool.alive if each.placed]) == 1:
            worker.events.put((worker, Failed(0, "too-large-for-server", "no node has room", again=True)))
            return
        worker.placed = worker.placed or isinstance(message, Prepare)
        send(worker, message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretended, "send", placed)
        patch.setattr(Pretended, "placed", False, raising=False)
        jobs = [world.accept("a", ONE)]
        here.turn()
        jobs.append(world.accept("a", TWO))
        here.turn()
        jobs.append(world.accept("a", ONE, name="again"))
        here.turn()
    assert [world.jobs.get("a", job).state for job in jobs] == ["done"] * 3
    assert here.dispatcher._deaths == 0


def test_progress_alone_begins_nothing(world):
    """It comes five times a second, and each time the queue was read."""
    here = world.make(PretendedPool(size=1))
    job = world.accept("a")
    while not here.dispatcher._events.empty():  # until it is ready
        here.dispatcher._hear()
    slot = here.dispatcher._slots[0]
    slot.row, slot.state = SimpleNamespace(id=7, job=job), "busy"
    here.dispatcher._events.put((slot.worker, Progress(7, 0.5, "block1")))
    assert not here.dispatcher._hear()
    assert here.news[-1] == (job, True)
    assert here.dispatcher.running(7) == (0.5, "block1")
    for event in (None, (slot.worker, Progress(7, 0.6, "block1"))):
        here.dispatcher._events.put(event)
    assert here.dispatcher._hear()


class Hasty(PretendedPool):
    """Its workers prepare without being told, as those whose memory was granted at start."""

    def start(self, folder, events):
        worker = super().start(folder, events)
        events.put((worker, Ready(0.1, 0)))
        return worker


def test_a_worker_that_was_refused_is_not_ready_whatever_it_had_said(world):
    """Two programs, memory for one: the second one's worker is ended, with its Ready on the way. It counted as idle,
    was given a query, and its death was the query's.
    """
    here = world.make(Hasty(size=2, memory_bytes=150), programs=(ONE, TWO))
    job = world.accept("a", TWO)
    here.dispatcher._hear()
    assert [(slot.program, slot.state) for slot in here.dispatcher._slots] == [(ONE, "idle"), (TWO, "stopping")]
    here.dispatcher._assign()
    assert world.jobs.get("a", job).evaluations[0].attempts == 0
    here.turn()
    row = world.jobs.get("a", job)
    assert (row.state, row.evaluations[0].attempts) == ("done", 1)
    deaths = here.dispatcher._metrics.worker_deaths
    assert [each.value for family in deaths.collect() for each in family.samples if each.name.endswith("total")] == [0]


def test_two_programs_that_fit_one_at_a_time_take_turns(world):
    """One's worker is ended for the other's; nobody's queries fail."""
    here = world.make(PretendedPool(size=2, memory_bytes=150), programs=(ONE, TWO))
    jobs = [world.accept(tenant, program) for tenant, program in (("a", ONE), ("b", TWO), ("c", ONE), ("d", TWO))]
    for _ in range(10):
        here.turn()
        assert sum(slot.program_bytes for slot in here.dispatcher._slots) <= 150
    assert {world.jobs.get(tenant, job).state for tenant, job in zip("abcd", jobs, strict=True)} == {"done"}


@pytest.mark.parametrize(("shared", "workers"), [(0, 1), (39, 1), (60, 2), (80, 3)])
def test_what_workers_share_of_a_program_counts_once(world, shared, workers):
    """160 bytes: for one worker of 100 and its keys of 10, and for as many more as need no more than what is left."""
    here = world.make(PretendedPool(size=3, memory_bytes=160, shared_bytes=shared))
    job = world.accept("a", queries=5)
    here.turn()
    assert world.jobs.get("a", job).state == "done"
    slots = here.dispatcher._slots
    assert len([slot for slot in slots if slot.state == "idle"]) == workers
    assert admission.memory(slots) == 100 + (workers - 1) * (100 - shared) + 10


def test_of_several_programs_each_shares_its_own():
    made = ((ONE, 9, 4), (ONE, 9, 4), (TWO, 7, 0))
    slots = [Slot(None, program, "idle", size, shared_bytes=shared) for program, size, shared in made]
    assert admission.program_bytes(slots) == 5 + 5 + 4 + 7
    assert (admission.shared_with(slots, Slot(None, ONE)), admission.shared_with(slots, Slot(None, TWO))) == (4, 0)


def test_a_worker_changes_its_program_when_nobody_waits_for_the_old_one(world):
    here = world.make(PretendedPool(size=1), programs=(ONE, TWO))
    world.accept("a", ONE)
    here.turn()
    job = world.accept("a", TWO)
    here.turn()
    assert world.jobs.get("a", job).state == "done"
    assert here.pool.started == [ONE, TWO]


def test_failures_are_tried_again_only_where_that_may_help(world):
    pool = PretendedPool()
    here = world.make(pool, retry_seconds=1e-6, attempts=3)
    pool.answer = lambda task: Failed(task.evaluation, "damaged", "no ciphertext")
    damaged = world.accept("a", name="damaged")
    here.turn()
    assert world.jobs.get("a", damaged).evaluations[0].attempts == 1
    pool.answer = lambda task: Failed(task.evaluation, "evaluation-failed", "keys", again=True)
    unlucky = world.accept("a", name="unlucky")
    here.turn()
    row = world.jobs.get("a", unlucky)
    assert (row.state, row.evaluations[0].attempts) == ("failed", 3)
    pool.answer = lambda task: Failed(task.evaluation, "storage-full", "disk", again=True)
    waits = world.accept("a", name="waits")
    here.turn()
    assert world.jobs.get("a", waits).state in ("queued", "running")  # for as long as it takes
    pool.answer = lambda task: Result(task.evaluation, b"result", 0.1)
    here.turn()
    assert world.jobs.get("a", waits).state == "done"


def test_a_cancelled_query_that_was_not_deleted_goes_back(world):
    """Such as one that another server had taken over in the meantime."""
    pool = PretendedPool(size=1)
    pool.answer = lambda task: None
    here = world.make(pool)
    job = world.accept("a")
    here.turn()
    assert world.jobs.get("a", job).state == "running"
    pool.answer = lambda task: Result(task.evaluation, b"result", 0.1)
    here.dispatcher.cancel(job)
    here.turn()
    assert world.jobs.get("a", job).state == "done"


def slot(program=ONE, state="idle", keys=(), shares_pages=True, **more):
    worker = SimpleNamespace(shares_pages=shares_pages)
    return Slot(worker, program, state, 100, 10, OrderedDict(dict.fromkeys(keys, 10)), **more)


def test_a_worker_that_has_the_keys_open_is_chosen():
    first, second, third = slot(keys=("x",)), slot(keys=("x", "y")), slot(program=TWO, keys=("y",))
    assert admission.choose([first, second, third], ONE, "y") is second
    assert admission.choose([first, second, third], ONE, "z") is first  # the one with the fewest
    assert admission.choose([slot(state="busy", keys=("y",))], ONE, "y") is None


def test_keys_of_workers_that_share_no_pages_count_for_each():
    """As those on several machines: who closes one of them gives memory back, whoever else has it open."""
    slots = [slot(keys=("x", "y"), shares_pages=False, since=1.0), slot(keys=("x",), shares_pages=False, since=2.0)]
    assert admission.key_bytes(slots) == 30
    assert admission.memory(slots) == 230
    other, chosen = slots
    assert admission.make_room(slots, chosen, "x", 230, 16) == {}
    assert admission.make_room(slots, chosen, "x", 220, 16) == {id(other): ["x"]}
    assert admission.make_room(slots, chosen, "z", 230, 16) == {id(other): ["x"]}
    other.state, other.keys = "busy", "x"
    assert admission.make_room(slots, chosen, "x", 220, 16) == {id(other): ["y"]}
    assert admission.make_room(slots, chosen, "x", 210, 16) is None  # one each is what is used


def test_mapped_keys_count_once():
    slots = [slot(keys=("x", "y")), slot(keys=("x",))]
    assert admission.key_bytes(slots) == 20
    assert admission.memory(slots) == 220


def test_room_is_made_by_closing_what_is_idle_longest():
    chosen, other = slot(keys=("a", "b"), since=2.0), slot(keys=("c",), since=1.0)
    busy = slot(state="busy", keys=("d", "e"), since=0.0)
    busy.keys = "d"
    slots = [chosen, other, busy]
    assert admission.make_room(slots, chosen, "f", budget=360, key_sets=9) == {}
    closing = admission.make_room(slots, chosen, "f", budget=340, key_sets=9)
    assert closing == {id(busy): ["e"], id(other): ["c"]}
    assert admission.make_room(slots, chosen, "f", budget=319, key_sets=9) is None  # what runs must end first
    assert admission.make_room([chosen], chosen, "f", budget=100, key_sets=9) == {id(chosen): ["a", "b"]}
    assert admission.make_room([chosen], chosen, "f", budget=1000, key_sets=2) == {id(chosen): ["a"]}
    assert admission.make_room([chosen], chosen, "b", budget=1000, key_sets=1) == {id(chosen): ["a"]}


def test_a_dispatcher_without_early_workers_starts_its_own(world):
    pool = PretendedPool(size=1)
    here = world.make(pool)
    here.pool.alive[0].kill()
    here.turn()
    assert len(pool.started) == 2
    assert Early().workers == []
