"""Whoever waits for an upload hears how it ended: whatever fails meanwhile, and whoever else sends or deletes it."""

import asyncio
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from heclstm.service.database.connection import Database
from heclstm.service.database.key_sets import READY, RECEIVING, KeySetRow, KeySets
from heclstm.service.database.migrate import upgrade
from heclstm.service.problems import Problem
from heclstm.service.uploads import Uploads
from heclstm.service.workers.messages import Begin, Expanded, Paused, Refused

ROW = KeySetRow("one", "l" * 32, "p" * 64, RECEIVING, "u" * 32, 100, 200, 1.0, 2.0, "token x")
FULL = OSError(28, "No space left on device")
GONE = OperationalError("COMMIT", {}, Exception("the server closed the connection"))
DAMAGED = Refused(ROW.upload, "damaged", "keys: do not fit their checksum")
NO_ROOM = Refused(ROW.upload, "storage-full", "keys: no room")


class Blocking:
    """A function that waits in the middle of it until it may go on."""

    def __init__(self, then=lambda *_, **__: None):
        self.begun, self._go_on, self._then = threading.Event(), threading.Event(), then

    def __call__(self, *arguments, **more):
        self.begun.set()
        assert self._go_on.wait(30)
        return self._then(*arguments, **more)

    async def entered(self):
        assert await asyncio.to_thread(self.begun.wait, 10)

    def go_on(self):
        self._go_on.set()


class Kit:
    """An upload of which all but the last byte has arrived, and an intake that says what a test says."""

    def __init__(self, folder):
        self.database = Database(f"sqlite:///{folder / 'service.db'}")
        upgrade(self.database)
        self.key_sets, self.sent = KeySets(self.database), []
        self.key_sets.begin(ROW, 1000)
        self.audit = SimpleNamespace(write=lambda *_, **__: None)
        self.blobs = SimpleNamespace(staging=lambda name: folder / name, adopt=lambda _: None, delete=lambda _: None)
        self.programs = {ROW.program: SimpleNamespace(folder="program")}
        programs = SimpleNamespace(all=lambda: self.programs)
        config = SimpleNamespace(folder=folder, evaluation=SimpleNamespace(intakes=1))
        self.uploads = Uploads(config, self.key_sets, self.blobs, programs, self.audit)
        self.uploads._send = self.sent.append
        self.file = folder / "uploads" / ROW.upload
        self.file.write_bytes(bytes(99))

    @property
    def begun(self):
        return sum(isinstance(each, Begin) for each in self.sent)

    @property
    def upload(self):
        return self.uploads._uploads[ROW.upload]

    def put(self, content=b"", offset=100, by=ROW.sent_by):
        async def body():
            if content:
                yield content

        return asyncio.create_task(self.uploads.receive(ROW.tenant, ROW.label, offset, body(), by=by))

    async def put_the_last_byte(self):
        task = self.put(b"x", 99)
        async with asyncio.timeout(10):
            while not (ROW.upload in self.uploads._uploads and self.upload.whole and not self.upload.active):
                await asyncio.sleep(0.01)
        return task

    def says(self, message):
        return asyncio.create_task(self.uploads._handle(message))


@pytest.fixture
def kit(tmp_path):
    made = Kit(tmp_path)
    yield made
    made.database.close()


async def told(task):
    """The code of its problem, or whether its keys are ready."""
    try:
        async with asyncio.timeout(10):
            return (await task)[2]
    except Problem as problem:
        return problem.code


def test_keys_that_found_no_room_are_not_ready_whoever_sends_them_meanwhile(kit):
    """While that was written into the audit a second connection began them anew, and the first heard of no problem."""
    kit.audit.write = Blocking()

    async def play():
        first = await kit.put_the_last_byte()
        saying = kit.says(NO_ROOM)
        await kit.audit.write.entered()
        assert await told(kit.put()) == "storage-full"
        kit.audit.write.go_on()
        assert await told(first) == "storage-full"
        await saying
        third = kit.put()  # there is room now
        while kit.begun < 2:
            await asyncio.sleep(0.01)
        await kit.says(Expanded(ROW.upload))
        assert await told(third) is True

    asyncio.run(play())
    assert kit.begun == 2


def test_keys_that_are_begun_anew_before_the_first_hears_of_their_end_are_not_ready(kit):
    async def play():
        first = await kit.put_the_last_byte()
        kit.upload.problem, kit.upload.begun = Problem("storage-full", "keys: no room"), False
        kit.upload.ended.set()
        kit.uploads._ensure_begun(kit.upload)
        assert await told(first) is False

    asyncio.run(play())


def test_keys_are_refused_also_if_they_cannot_be_erased(kit, monkeypatch):
    """Who waited for it waited until the server was started anew."""

    def gone(*_, **__):
        raise GONE

    async def play():
        first = await kit.put_the_last_byte()
        with monkeypatch.context() as patch:
            patch.setattr(kit.key_sets, "remove", gone)
            await kit.says(DAMAGED)
            assert await told(first) == "damaged"
        second = kit.put()
        while kit.begun < 2:
            await asyncio.sleep(0.01)
        await kit.says(DAMAGED)
        assert await told(second) == "damaged"

    asyncio.run(play())
    assert kit.key_sets.get(ROW.tenant, ROW.label) is None
    assert not kit.file.exists()


def test_a_blob_that_cannot_be_deleted_holds_nobody_up(kit):
    def failing(*_, **__):
        raise FULL

    kit.audit.write = kit.blobs.delete = failing

    async def play():
        first = await kit.put_the_last_byte()
        await kit.says(Expanded(ROW.upload))
        assert await told(first) == "storage-full"

    asyncio.run(play())


def test_a_file_that_cannot_be_erased_holds_nobody_up(kit, monkeypatch):
    def failing(*_, **__):
        raise OSError(30, "Read-only file system")

    async def play():
        first = await kit.put_the_last_byte()
        with monkeypatch.context() as patch, suppress(OSError):
            patch.setattr(Path, "unlink", failing)
            await kit.says(Expanded(ROW.upload))
        assert await told(first) is True

    asyncio.run(play())


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (lambda kit: asyncio.create_task(kit.uploads.drop(ROW)), "not-found"),
        (lambda kit: kit.says(DAMAGED), "damaged"),
        (lambda kit: kit.says(Expanded(ROW.upload)), True),
    ],
    ids=["deleted", "refused", "expanded"],
)
def test_an_upload_that_ends_while_another_connection_comes_to_it_is_not_begun_anew(kit, monkeypatch, end, outcome):
    """Its file is gone: nobody would tell of it any more."""
    sent = Blocking()
    monkeypatch.setattr(kit.key_sets, "sent", sent)

    async def play():
        first = await kit.put_the_last_byte()
        second = kit.put(by="token y")
        await sent.entered()
        await end(kit)
        sent.go_on()
        assert [await told(first), await told(second)] == [outcome, outcome]

    asyncio.run(play())
    assert kit.begun == 1
    assert os.listdir(kit.file.parent) == []


@pytest.mark.parametrize(
    "message", [None, Paused(ROW.upload), Expanded(ROW.upload)], ids=["died", "paused", "expanded"]
)
def test_what_the_intake_says_of_keys_that_are_being_refused_changes_nothing(kit, message):
    kit.audit.write = Blocking()

    async def play():
        first = await kit.put_the_last_byte()
        saying = kit.says(DAMAGED)
        await kit.audit.write.entered()
        await kit.says(message)
        kit.audit.write.go_on()
        await saying
        assert await told(first) == "damaged"

    asyncio.run(play())
    assert kit.begun == 1
    assert kit.key_sets.get(ROW.tenant, ROW.label) is None


def test_keys_that_were_deleted_while_others_were_refused_are_not_begun_anew(kit):
    """Both were with an intake that died."""
    kit.audit.write = Blocking()
    other = KeySetRow(**{name: getattr(ROW, name) for name in ROW.__struct_fields__} | {"upload": "v" * 32})

    async def play():
        first = await kit.put_the_last_byte()
        kit.upload.deaths = 1
        kit.uploads._path(other.upload).write_bytes(bytes(100))
        await kit.uploads.resume([other])
        saying = kit.says(None)
        await kit.audit.write.entered()
        await kit.uploads.drop(other)
        kit.audit.write.go_on()
        await saying
        assert await told(first) == "internal"

    asyncio.run(play())
    assert kit.begun == 2


@pytest.mark.parametrize("message", [None, Paused(ROW.upload)], ids=["died", "paused"])
def test_who_waits_for_keys_of_a_program_that_is_no_more_hears_so(kit, message):
    async def play():
        first = await kit.put_the_last_byte()
        kit.programs.clear()
        await kit.says(message)
        assert await told(first) == "unknown-program"

    asyncio.run(play())
    assert kit.key_sets.get(ROW.tenant, ROW.label).state == RECEIVING


def test_a_server_starts_though_keys_of_a_program_that_is_no_more_had_arrived(kit):
    kit.file.write_bytes(bytes(100))
    kit.programs.clear()
    asyncio.run(kit.uploads.resume([ROW]))
    assert kit.begun == 0


def test_who_sends_is_noted_another_time_if_it_could_not_be(kit, monkeypatch):
    def gone(*_):
        raise GONE

    async def play():
        with monkeypatch.context() as patch:
            patch.setattr(kit.key_sets, "sent", gone)
            with pytest.raises(OperationalError):
                await kit.put(b"x", 99, by="token y")
        task = kit.put(b"x", 99, by="token y")
        while not (kit.upload.whole and not kit.upload.active):
            await asyncio.sleep(0.01)
        await kit.says(Expanded(ROW.upload))
        assert await told(task) is True

    asyncio.run(play())
    row = kit.key_sets.get(ROW.tenant, ROW.label)
    assert (row.state, row.sent_by) == (READY, "token y")
