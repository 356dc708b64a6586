"""Where queries, results and keys lie: one law for every store, and the whole way over S3, moto's on loopback."""

import errno
import os
from types import SimpleNamespace

import fsspec.core
import psutil
import pytest
from fsspec.implementations.local import LocalFileSystem

from heclstm.errors import ConfigError, FileFormatError, OutputError
from heclstm.service import blobs as service_blobs
from heclstm.service.blobs import CACHED_FILES_MAX, FolderBlobs, FsspecBlobs, open_blobs
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs
from heclstm.service.database.key_sets import KeySets
from heclstm.service.retention import _erase_orphans
from service.kit import Remote, expect, mapping, wait_until

STORES = ["folder", "memory", "renames", "smb", "s3"]


class ShareError(OSError):
    """What smbprotocol raises: a class of its own, whatever the number."""


class Share(LocalFileSystem):
    """Files as SMB tells of them: none takes the place of another, and what is absent is no FileNotFoundError."""

    def mv(self, path1, path2, **options):
        if os.path.exists(path2):
            raise ShareError(errno.EEXIST, "Object Name already exists")
        super().mv(path1, path2, **options)


def _told_otherwise(method):
    def call(*arguments, **options):
        try:
            return method(*arguments, **options)
        except FileNotFoundError as error:
            raise ShareError(errno.ENOENT, "No such file or directory") from error

    return call


for _name in ("ls", "rm_file", "cat_file", "get_file", "put_file", "mv"):
    setattr(Share, _name, _told_otherwise(getattr(Share, _name)))


@pytest.fixture
def blobs(request, tmp_path):
    """memory: as an object store. renames: files of this machine, by fsspec, as over SFTP or SMB."""
    match request.param:
        case "folder":
            return FolderBlobs(tmp_path / "blobs")
        case "memory":
            return FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "cache")
        case "renames":
            return FsspecBlobs(f"file://{tmp_path}/there", tmp_path / "cache")
        case "smb":
            request.getfixturevalue("monkeypatch").setattr(
                fsspec.core, "url_to_fs", lambda url, **_: (Share(), url.removeprefix("file://"))
            )
            return FsspecBlobs(f"file://{tmp_path}/there", tmp_path / "cache")
    store = request.getfixturevalue("in_reach")
    return FsspecBlobs(store.bucket(f"law-{os.urandom(4).hex()}"), tmp_path / "cache")


@pytest.mark.parametrize("blobs", STORES, indirect=True)
def test_blobs_are_written_whole_read_and_erased(blobs):
    """The same for every store; a file that was staged becomes a blob, and is found on this machine."""
    assert list(blobs.names("queries", older_than_seconds=0)) == []
    blobs.put("queries/a-0", b"first")
    blobs.put("queries/a-0", b"content")
    assert blobs.read("queries/a-0") == b"content"
    assert list(blobs.names("queries", older_than_seconds=0)) == ["queries/a-0"]
    assert list(blobs.names("queries", older_than_seconds=1000)) == []
    blobs.staging("keys/k").write_bytes(b"large")
    blobs.adopt("keys/k")
    assert list(blobs.names("keys", 0)) == ["keys/k"]
    assert blobs.local("keys/k").read_bytes() == b"large"
    blobs.forget("keys/k")  # as on another machine
    assert blobs.copies() == []
    for _ in range(2):
        assert blobs.local("keys/k").read_bytes() == b"large"
        assert blobs.local("keys/k").stat().st_mode & 0o077 == 0 or isinstance(blobs, FolderBlobs)
    for name in ("queries/a-0", "keys/k", "keys/absent"):
        blobs.delete(name)
    assert list(blobs.names("queries", 0)) == list(blobs.names("keys", 0)) == blobs.copies() == []
    with pytest.raises(FileFormatError, match="cannot be read"):
        blobs.read("queries/a-0")
    if not isinstance(blobs, FolderBlobs):
        with pytest.raises(FileNotFoundError):
            blobs.local("keys/k")
        assert not [path for path in blobs._cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("blobs", STORES[1:], indirect=True)
def test_copies_of_what_was_erased_elsewhere_go(blobs):
    """By what the store has now; what is staged is not there yet, and stays."""
    other = type(blobs)(str(blobs._system.unstrip_protocol(blobs._root)), blobs._cache.parent / "other")
    for name in ("keys/gone", "keys/stays"):
        blobs.staging(name).write_bytes(b"content")
        blobs.adopt(name)
        other.local(name)
    other.staging("keys/new").write_bytes(b"content")
    blobs.delete("keys/gone")
    lefts = [other._cache / name for name in (".heclstm-killed", ".keys-killed-123", "staged/.keys-killed-123")]
    for left in lefts:  # in mid-copy, and by an intake, which once wrote into the cache itself
        left.write_bytes(b"half")
    other.forget_erased()
    assert sorted(other.copies()) == ["keys/new", "keys/stays"]
    assert all(left.exists() for left in lefts)
    for left in lefts:
        os.utime(left, (0, 0))
    other.forget_erased()
    assert not any(left.exists() for left in lefts)


def test_large_files_go_and_come_in_parts(in_reach, tmp_path, monkeypatch):
    """As expanded keys do: 307 MiB of them in one piece would stand in the server's memory, twice."""
    monkeypatch.setattr(service_blobs, "PUT_OPTIONS", {"s3": {"chunksize": 5 << 20}})  # the least that S3 takes
    blobs = FsspecBlobs(in_reach.bucket("parts"), tmp_path / "cache")
    content = os.urandom(1 << 20) * 12
    blobs.staging("keys/k").write_bytes(content)
    blobs.adopt("keys/k")
    blobs.forget("keys/k")
    assert blobs.local("keys/k").read_bytes() == content
    (entry,) = blobs._system.ls(blobs._at("keys"), detail=True)
    assert entry["ETag"].strip('"').endswith("-3")  # S3's own count of the parts


def test_listings_are_fresh(in_reach, tmp_path):
    """Another server writes and erases there, too."""
    blobs = FsspecBlobs(in_reach.bucket("fresh"), tmp_path / "cache")
    for number in range(2):
        in_reach.put(f"fresh/heclstm/queries/{number}", b"?")
        assert len(list(blobs.names("queries", 0))) == number + 1
    in_reach.delete("fresh/heclstm/queries/0")
    assert list(blobs.names("queries", 0)) == ["queries/1"]
    blobs.delete("queries/0")  # gone already


@pytest.mark.parametrize("blobs", ["renames", "smb"], indirect=True)
def test_where_a_store_can_rename_nothing_has_a_name_before_it_is_whole(blobs, monkeypatch):
    seen = []
    write = blobs._system.pipe_file

    def watched(place, content):
        write(place, content[:1])
        seen.extend(blobs.names("results", 0))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blobs._system, "pipe_file", watched)
    with pytest.raises(OutputError, match="blob results/r: cannot be written"):
        blobs.put("results/r", b"content")
    assert len(seen) == 1
    assert seen[0].startswith("results/.heclstm-")
    assert list(blobs.names("results", 0)) == []


def test_whatever_a_store_raises_is_an_error_of_files(tmp_path, monkeypatch):
    """s3fs tells of a server that is away by an error of botocore's own, which would end a worker."""
    blobs = FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "cache")

    def away(*_, **__):
        raise LookupError("Could not connect to the endpoint")

    for method in ("pipe_file", "put_file", "cat_file", "get_file", "rm_file", "ls"):
        monkeypatch.setattr(blobs._system, method, away)
    for call in (blobs.read, blobs.adopt, blobs.local, blobs.delete, lambda name: list(blobs.names(name, 0))):
        with pytest.raises(OSError, match="the store does not answer"):
            call("keys/k")
    with pytest.raises(OutputError, match="cannot be written"):
        blobs.put("keys/k", b"content")
    assert blobs.copies() == []


def test_the_cache_keeps_what_was_used_last(tmp_path):
    blobs = FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "cache")
    for number in range(CACHED_FILES_MAX + 3):
        blobs.put(f"keys/{number}", b"content")
        path = blobs.local(f"keys/{number}")
        os.utime(path, (number, number))
    assert len(blobs.copies()) == CACHED_FILES_MAX
    assert "keys/2" not in blobs.copies()


def test_the_cache_of_who_takes_keys_in_has_the_same_bound(tmp_path):
    """Only what was fetched counted: a server that nobody's workers fetch for kept all that it ever took in."""
    blobs = FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "cache")
    for number in range(CACHED_FILES_MAX + 3):
        blobs.staging(f"keys/{number}").write_bytes(b"content")
        blobs.adopt(f"keys/{number}")
        os.utime(blobs.local(f"keys/{number}"), (number, number))
    assert len(blobs.copies()) == CACHED_FILES_MAX
    assert "keys/2" not in blobs.copies()
    assert len(list(blobs.names("keys", 0))) == CACHED_FILES_MAX + 3


@pytest.mark.parametrize("blobs", STORES[1:], indirect=True)
def test_what_is_erased_on_its_way_to_the_store_does_not_stay_there(blobs, monkeypatch):
    """Each time at another moment: before the store has it, and when it has it."""
    write = blobs._system.put_file
    for number, erased_first in enumerate((True, False)):
        name = f"keys/{number}"

        def raced(source, place, name=name, erased_first=erased_first, **options):
            with open(source, "rb"):  # as whoever reads it has it open
                if erased_first:
                    kept = source + ".kept"
                    os.link(source, kept)
                    blobs.delete(name)
                    write(kept, place, **options)
                    os.unlink(kept)
                else:
                    write(source, place, **options)
                    blobs.delete(name)

        monkeypatch.setattr(blobs._system, "put_file", raced)
        blobs.staging(name).write_bytes(b"content")
        with pytest.raises(FileNotFoundError):
            blobs.adopt(name)
        assert list(blobs.names("keys", 0)) == blobs.copies() == []


@pytest.mark.parametrize("where", ["folder", "file://{}/shared"])
def test_copies_go_when_blobs_lie_elsewhere_no_more(tmp_path, where):
    """As those of file://, which once was a store like any other."""
    before = FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "state" / "cache")
    before.put("keys/a", b"content")
    before.local("keys/a")
    before.staging("keys/b").write_bytes(b"content")
    (before._cache / ".keys-killed-123").write_bytes(b"half")
    (before._cache / ".heclstm-killed").write_bytes(b"half")
    open_blobs(where.format(tmp_path), tmp_path / "state")
    assert not [path for path in before._cache.rglob("*") if path.is_file()]
    open_blobs(where.format(tmp_path), tmp_path / "new")


def test_what_cannot_be_a_store_is_a_mistake(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="nowhere://"):
        open_blobs("nowhere://x", tmp_path)
    assert isinstance(open_blobs(f"file://{tmp_path}/x", tmp_path), FolderBlobs)

    def absent(url, **_):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(ConfigError, match=r"pip install 'heclstm\[s3\]'"):
        open_blobs("s3://x/y", tmp_path)


@pytest.mark.slow  # servers start three times
def test_the_whole_way_over_s3_and_nothing_stays_of_what_is_erased(in_reach, launch, hospital, second):
    """A server is killed in mid-upload and in mid-job. Two, of one database and one store, each with its cache, have
    keys mapped that are then deleted at one of them. One test, since a server takes seconds to start.
    """
    common = {"blobs": in_reach.bucket("whole"), "retention": {"sweep_seconds": 0.3}}
    with launch(**common) as one, launch(**common, database=one.config.database_url, start=False) as two:
        token, half = one.token(), len(hospital.keys) // 2
        here, there = Remote(one.http(token)), Remote(two.http(token))
        expect(here.put_keys(hospital, content=hospital.keys[:half]), 202)
        expect(here.put_keys(second), 201)
        (kept,) = in_reach.names("whole")
        queries = [second.query(seed) for seed in range(6)]
        job = expect(here.post(b"".join(queries)), 202).json()["id"]
        wait_until(lambda: here.job(job)["done"] >= 1)
        one.kill()
        (one.config.folder / "cache" / kept.replace("/", "-")).unlink()  # as if another machine went on
        orphans = {"queries/" + "d" * 32 + "-0", "results/" + "d" * 32 + "-1", "keys/" + "d" * 32}
        for name in orphans:
            in_reach.put(f"whole/heclstm/{name}", b"left by a crash")
        one.start()
        assert expect(here.http.get(f"/v1/keys/{hospital.label}"), 200).json()["received_bytes"] == half
        assert here.ended(job)["state"] == "done"
        for number, query in enumerate(queries):
            second.score(here.result(job, number=number), query)
        assert orphans <= in_reach.names("whole")  # too young for the server itself
        assert sweep_orphans(one) == 3
        assert in_reach.names("whole") == {kept, *(f"results/{job}-{number}" for number in range(6))}
        expect(here.http.delete(f"/v1/jobs/{job}"), 204)
        expect(here.put_keys(hospital, half), 201)
        (gone,) = in_reach.names("whole") - {kept}

        two.start()
        for keys, owner in ((kept, second), (gone, hospital)):
            while not (mapped(one, keys) and mapped(two, keys)):
                jobs = [expect(here.post(owner.query(seed)), 202).json()["id"] for seed in range(4)]
                assert {there.ended(job)["state"] for job in jobs} == {"done"}
                for job in jobs:
                    expect(there.http.delete(f"/v1/jobs/{job}"), 204)
        expect(there.http.delete(f"/v1/keys/{hospital.label}"), 204)
        assert in_reach.names("whole") == {kept}
        for server in (one, two):
            wait_until(lambda server=server: not mapped(server, gone), 10, server.text)
            assert files(server, "cache") == [kept.replace("/", "-")]
            assert mapped(server, kept)
            assert files(server, "uploads") == []


def sweep_orphans(server):
    """As the service itself does, and as if an hour had gone by."""
    database = Database(server.config.database_url)
    try:
        app = SimpleNamespace(
            blobs=open_blobs(server.config.blobs, server.config.folder),
            jobs=Jobs(database), key_sets=KeySets(database),
            queries=SimpleNamespace(in_flight=set()), uploads=SimpleNamespace(files=list),
        )  # fmt: skip
        return _erase_orphans(app, 0)
    finally:
        database.close()


def files(server, folder):
    return sorted(path.name for path in (server.config.folder / folder).rglob("*") if path.is_file())


def mapped(server, keys):
    """Processes of a server that have this key set in their address space."""
    return mapping(psutil.Process(server.process.pid).children(recursive=True), keys)


def test_what_is_being_written_outlives_a_clock_that_jumps_ahead(tmp_path):
    """All looks old then. What a killed process left is told by the second look."""
    blobs = FolderBlobs(tmp_path)
    (tmp_path / "results" / ".heclstm-0123").touch()
    blobs.put("results/whole-0", b"whole")
    assert list(blobs.names("results", -1)) == ["results/whole-0"]
    assert sorted(blobs.names("results", -1)) == ["results/.heclstm-0123", "results/whole-0"]
