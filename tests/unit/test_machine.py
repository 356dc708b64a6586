"""What a process may use of its machine, read from trees of control groups as containers have them."""

import os
import resource

import pytest

from heclstm.backend import machine
from heclstm.errors import ResourceError

FREE = 1 << 62


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """(lines of /proc/self/cgroup, {file: content}) → a tree that is looked at instead."""

    def make(lines, files):
        (tmp_path / "own").write_text("\n".join(lines) + "\n")
        for name, content in files.items():
            (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "fs" / name).write_text(content)

    monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "fs")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(machine, "_physical", lambda: FREE)
    return make


@pytest.mark.parametrize(
    ("lines", "files", "cores"),
    [
        (["0::/"], {"cpu.max": "200000 100000\n"}, 2),
        (["0::/"], {"cpu.max": "max 100000\n"}, 64),
        (["0::/"], {"cpu.max": "50000 100000\n"}, 1),
        (["0::/"], {"cpu.max": "150000 100000\n"}, 2),
        (["0::/a/b"], {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),  # one above binds, too
        (["0::/of/the/host"], {"cpu.max": "400000 100000"}, 4),  # a path that this container does not see
        (["4:cpu,acct:/x"], {"cpu,acct/x/cpu.cfs_quota_us": "250000", "cpu,acct/x/cpu.cfs_period_us": "100000"}, 3),
        (["4:cpu:/"], {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        (["4:cpu:/"], {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "0"}, 64),
        (["nonsense", "1:::", "0::/"], {"cpu.max": "nonsense"}, 64),
    ],
)  # fmt: skip
def test_cores_follow_the_quota(groups, lines, files, cores):
    groups(lines, files)
    assert machine.cores() == cores


def test_cores_follow_the_affinity(groups, monkeypatch):
    groups(["0::/"], {"cpu.max": "800000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert machine.cores() == 2


def test_without_control_groups_all_cores_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "absent")
    assert machine.cores() >= 1
    assert machine.memory_bytes() is None or machine.memory_bytes() > 0


@pytest.mark.parametrize(
    ("lines", "files", "limit"),
    [
        (["0::/a"], {"memory.max": "max", "a/memory.max": "1000000000"}, 10**9),
        (["0::/a"], {"memory.max": "2000", "a/memory.max": "max"}, 2000),
        (["7:memory:/x"], {"memory/x/memory.limit_in_bytes": "5000"}, 5000),
        (["0::/"], {"memory.max": "max"}, FREE),
    ],
)
def test_memory_follows_the_limit(groups, lines, files, limit):
    groups(lines, files)
    assert machine.memory_bytes() == limit


def test_what_needs_more_memory_than_there_is_does_not_begin(groups):
    groups(["0::/"], {"memory.max": "2000000000"})
    machine.require_memory(2_100_000_000, "run")  # an estimate
    with pytest.raises(ResourceError, match=r"run: needs about 3.0 GB of memory, .* may hold 2.0 GB"):
        machine.require_memory(3_000_000_000, "run")


def limited(monkeypatch, name, value):
    wanted = getattr(resource, name)
    monkeypatch.setattr(resource, "getrlimit", lambda each: (value if each == wanted else resource.RLIM_INFINITY,) * 2)


def test_an_address_space_that_is_too_small_is_told_before_the_engine_starts(groups, monkeypatch):
    groups(["0::/"], {})
    limited(monkeypatch, "RLIMIT_AS", 1_500_000_000)
    with pytest.raises(ResourceError, match="`ulimit -v` allows 1.5 GB of address space, expected at least 2.6 GB"):
        machine.require_room()
    with pytest.raises(ResourceError, match="needs about 2.7 GB of address space, and `ulimit -v` allows 1.5 GB"):
        machine.require_memory(1_000_000_000, "run")


def test_too_few_threads_are_told_before_the_engine_starts(groups, monkeypatch):
    groups(["0::/"], {})
    limited(monkeypatch, "RLIMIT_NPROC", 3)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(machine, "_threads_of", lambda user: 2)
    with pytest.raises(ResourceError, match="allows this user 3 threads, of which 2 run"):
        machine.require_room()
    monkeypatch.setattr(os, "getuid", lambda: 0)  # whom the limit does not bind
    machine.require_room()


def test_threads_are_counted():
    assert machine._threads_of(os.getuid()) >= 1
    assert machine._threads_of(987654321) == 0
