"""Verbs where the system gives little: limits, no folder for temporary files, nothing that can be inspected."""

import resource
import subprocess
import sys
import tempfile

import pytest

from heclstm.cli.scratch import scratch_beside

VERB = [sys.executable, "-m", "heclstm.cli"]


def limited(name, value):
    def limit():
        resource.setrlimit(getattr(resource, name), (value, value))

    return limit


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RLIMIT_AS", 600_000_000, "`ulimit -v` allows 0.6 GB of address space"),
        ("RLIMIT_FSIZE", 1000, "cannot be written (File too large)"),
    ],
)
def test_limits_are_told_in_a_line(site, tmp_path, name, value, words):
    """Go's runtime would print its stacks."""
    arguments = ["encrypt", site.program, site.images, "--key", site.secret, "-o", tmp_path / "q.he", "--insecure-test"]
    ran = subprocess.run(
        [*VERB, *arguments], capture_output=True, text=True, check=False, preexec_fn=limited(name, value)
    )
    assert ran.returncode == 2
    assert words in ran.stderr
    notes, last = ran.stderr.splitlines()[:-1], ran.stderr.splitlines()[-1]
    assert last.startswith("heclstm: ")
    assert len(notes) <= 1
    assert not list(tmp_path.iterdir())


def test_a_program_that_needs_more_memory_than_there_is(refused, site, tmp_path, monkeypatch):
    monkeypatch.setattr("heclstm.backend.machine.memory_bytes", lambda: 50_000_000)
    line = refused("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he")
    assert "run: needs about 0.1 GB of memory, and this process may hold 0.1 GB" in line


def test_temporary_files_lie_beside_the_output_where_there_is_no_other_place(tmp_path, monkeypatch):
    """Matplotlib keeps a list of fonts, and would end the report."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nothing"])
    with scratch_beside(tmp_path / "new" / "r.html"):
        assert tempfile.gettempdir().startswith(str(tmp_path / ".heclstm-"))
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    with scratch_beside(None), pytest.raises(FileNotFoundError):
        tempfile.gettempdir()


def test_temporary_files_stay_where_they_are_otherwise(tmp_path):
    before = tempfile.gettempdir()
    with scratch_beside(tmp_path / "r.html"):
        assert tempfile.gettempdir() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [0.5, -1])
def test_inspect_tells_whether_a_file_came_whole(refused, site, tmp_path, place):
    """340 MB of keys over a slow line: one can tell without the program."""
    for name in ("keys", "query", "result"):
        content = bytearray(getattr(site, name).read_bytes())
        content[int(place * len(content)) if place > 0 else place] ^= 1
        (tmp_path / name).write_bytes(content)
        assert "checksum does not fit its content" in refused("inspect", tmp_path / name)
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        assert "is truncated" in refused("inspect", tmp_path / name)
