"""Keys that are deleted with the jobs that wait for them, where the audit has no room for all of its lines."""

import asyncio
from dataclasses import fields
from types import SimpleNamespace

import pytest

from heclstm.service.app_state import App
from heclstm.service.blobs import FolderBlobs
from heclstm.service.config import Quotas
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs, NewJob, query_blob
from heclstm.service.database.key_sets import READY, KeySetRow, KeySets
from heclstm.service.database.migrate import upgrade
from heclstm.service.http import keys as key_routes
from heclstm.service.identity import USER_SCOPES, Identity
from heclstm.service.problems import Problem

KEYS = KeySetRow("one", "l" * 32, "p" * 64, READY, "u" * 32, 10, 20, 1.0, 2.0, "token x")
FULL = OSError(28, "No space left on device")


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(database)
    yield database
    database.close()


class Deleting:
    """Keys that two jobs wait for, and who may delete them. room: for how many lines the disk of the audit has room."""

    waiting = ("1" * 32, "2" * 32)

    def __init__(self, database, folder, room):
        self.jobs, self.key_sets, self.blobs = Jobs(database), KeySets(database), FolderBlobs(folder)
        self.room, self.told, self.dropped, self._folder = room, [], [], folder
        self.key_sets.begin(KEYS, 100)
        self.blobs.put(f"keys/{KEYS.upload}", b"keys")
        for id in self.waiting:
            self.jobs.accept(NewJob(id, "one", id, "b" * 64, KEYS.program, KEYS.label, 1), Quotas())
            self.blobs.put(query_blob(id, 0), b"query")
        parts = {"jobs": self.jobs, "key_sets": self.key_sets, "blobs": self.blobs, "audit": self, "uploads": self}
        nothing = SimpleNamespace(cancel=lambda *_: None, close_keys=lambda *_: None, changed=lambda *_: None)
        names = [each.name for each in fields(App)]
        self.app = App(**dict.fromkeys(names) | parts | {"dispatcher": nothing, "hub": nothing})

    def write(self, action, tenant, **facts):
        if len(self.told) == self.room:
            raise FULL
        self.told.append(action)

    async def drop(self, row):
        self.dropped.append(row.upload)

    def ask(self):
        application = SimpleNamespace(state=SimpleNamespace(service=self.app))
        identity = Identity("one", USER_SCOPES, "token x")
        request = SimpleNamespace(app=application, scope={"state": {"identity": identity}})
        asyncio.run(key_routes.delete_keys.fn(request, KEYS.label))

    def left(self):
        return {path.name for path in self._folder.glob("*/*")}


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_keys_that_cannot_be_deleted_now_can_be_later(database, tmp_path, room):
    """Of what is told to be deleted, nothing is left."""
    one = Deleting(database, tmp_path / "blobs", room)
    if room < 3:
        with pytest.raises(OSError, match="No space"):
            one.ask()
        stand = one.waiting[room:]
        assert [id for id in one.waiting if one.jobs.get("one", id)] == list(stand)
        assert one.key_sets.get("one", KEYS.label) == KEYS
        assert one.left() == {KEYS.upload, *(f"{id}-0" for id in stand)}
        one.room = 3
    one.ask()
    assert one.told == ["job deleted", "job deleted", "keys deleted"]
    assert one.left() == set()
    assert one.dropped == [KEYS.upload]
    with pytest.raises(Problem, match="no such thing"):
        one.ask()


def test_keys_that_are_deleted_leave_nothing_if_a_job_comes_meanwhile(database, tmp_path, monkeypatch):
    """Which cannot be told of now: it goes with the next that asks for the keys to be deleted, though they are gone."""
    one = Deleting(database, tmp_path / "blobs", 1)
    monkeypatch.setattr(one.jobs, "remove_of_keys", lambda *_: monkeypatch.undo() or [])
    with pytest.raises(OSError, match="No space"):
        one.ask()
    assert one.told == ["keys deleted"]
    assert one.dropped == [KEYS.upload]
    assert one.left() == {f"{id}-0" for id in one.waiting}
    one.room = 3
    with pytest.raises(Problem, match="no such thing"):
        one.ask()
    assert one.told == ["keys deleted", "job deleted", "job deleted"]
    assert one.left() == set()
