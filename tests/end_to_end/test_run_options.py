"""What `run` is asked for, and whether it does that: arithmetic, memory, threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heclstm.backend.cpu.context import available_arithmetics
from heclstm.circuit.cost import estimate
from heclstm.deploy.wire import Kind
from heclstm.program.files import load_program
from messages import read_file

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def run(call, site, tmp_path):
    """Options of `run` → (what it printed as JSON, its result's ciphertext, stderr)."""

    def evaluate(*options):
        result = tmp_path / "result.he"
        arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", result, "--json", *options)
        code, stdout, stderr = call(*arguments)
        assert code == 0, stderr
        ((_, blob),) = read_file(result, Kind.RESULT)
        return json.loads(stdout), blob, stderr

    return evaluate


def test_the_arithmetic_is_the_one_that_was_asked_for(run):
    best, expected, _ = run()
    assert (best["backend"], best["arithmetic"]) == ("cpu", available_arithmetics()[0])
    for name in available_arithmetics():
        found, blob, stderr = run("--arithmetic", name)
        assert found["arithmetic"] == name
        assert blob == expected
        assert "--backend" not in stderr


def test_the_former_name_of_the_option_still_works(run):
    for old, name in (("simd", available_arithmetics()[0]), ("portable", "portable")):
        found, _, stderr = run("--backend", old)
        assert found["arithmetic"] == name
        assert "--backend is called --arithmetic now" in stderr


@pytest.mark.parametrize("option", ["--arithmetic", "--backend"])
def test_an_arithmetic_that_nobody_knows(refused, site, tmp_path, option):
    arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he")
    assert "arithmetic: got 'gpu', expected one of auto, avx512" in refused(*arguments, option, "gpu")


def test_low_memory_takes_less_of_it(run, site):
    """A word a coefficient instead of one for every limb; the result is the same."""
    usual, expected, _ = run("--memory", "2")
    low, blob, _ = run("--low-memory")
    assert blob == expected
    # The estimate counts no padding of the shortest vectors.
    expected_bytes = estimate(load_program(site.program).circuit, memory=2e9).prepared_memory
    assert usual["program_memory_bytes"] == pytest.approx(expected_bytes, rel=0.1)
    assert low["program_memory_bytes"] < 0.5 * usual["program_memory_bytes"]
    assert min(usual["peak_memory_bytes"], low["peak_memory_bytes"]) > usual["program_memory_bytes"]


PARENT = """
import resource, subprocess, sys
print(subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, text=True).stdout)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run_alone(site, tmp_path, *options):
    """In a process of its own → what it printed as JSON, and its peak memory in bytes, as a small parent sees it."""
    arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he", "--json", *options)
    command = [sys.executable, "-S", "-c", PARENT, sys.executable, "-m", "heclstm.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    text, counted = done.stdout.rsplit(maxsplit=1)
    return json.loads(text), int(counted) * (1 if sys.platform == "darwin" else 1024)


def test_memory_is_told_as_the_system_counts_it(site, tmp_path):
    """Within a tenth."""
    found, peak = run_alone(site, tmp_path)
    assert found["peak_memory_bytes"] == pytest.approx(peak, rel=0.1)
    assert found["peak_memory_bytes"] > found["program_memory_bytes"] + found["key_memory_bytes"] > 0


def test_a_bound_on_memory_is_kept(refused, site, tmp_path):
    """Or refused before anything is made ready; --low-memory is another way to say it."""
    found, peak = run_alone(site, tmp_path, "--memory", "0.2")
    assert 0 < found["program_memory_bytes"] < peak < 0.2e9
    arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he")
    told = refused(*arguments, "--memory", "0.05")
    assert "run: needs about 0." in told
    assert "--memory allows 0.05 GB" in told
    assert "exclude each other" in refused(*arguments, "--memory", "1", "--low-memory")


def test_what_is_prepared_is_kept_or_not(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, expected, _ = run("--no-cache")
    assert not (tmp_path / "cache").exists()
    for _ in range(2):
        _, blob, _ = run()
        assert blob == expected
    kept = (tmp_path / "cache" / "heclstm" / "prepared").iterdir()
    assert sorted(path.suffix for path in kept) == [".outline", ".prepared"]
