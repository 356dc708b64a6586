"""Several processes keep what they prepare in one folder: they take turns, and share one file."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heclstm.backend.cpu import preparing, stored
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.stored import Stored
from heclstm.compiler.compile import Options, compile_circuit
from random_models import random_model, small_config
from written import Files


@pytest.fixture(scope="module")
def circuit():
    options = Options(ring_degree=2048, security="INSECURE_TEST", special_count=4)
    return compile_circuit(random_model(small_config(), 0), options)


def test_of_two_processes_each_takes_the_others_file(circuit, tmp_path):
    """Made here, and by a process of its own: the same name, and the same bytes."""
    script = (
        "import sys\nfrom pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from heclstm.backend.cpu.backend import CpuBackend\n"
        "from heclstm.compiler.compile import Options, compile_circuit\n"
        "from random_models import random_model, small_config\n"
        "options = Options(ring_degree=2048, security='INSECURE_TEST', special_count=4)\n"
        "circuit = compile_circuit(random_model(small_config(), 0), options)\n"
        "CpuBackend(threads=1, cache=Path(sys.argv[1])).prepare(circuit).close()\n"
    )
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    subprocess.run([sys.executable, "-c", script, str(theirs), str(Path(__file__).parents[1])], check=True)
    CpuBackend(threads=1, cache=ours).prepare(circuit).close()
    (first,), (second,) = theirs.iterdir(), ours.iterdir()
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_who_writes_at_once_takes_turns(circuit, tmp_path, monkeypatch):
    """Both found nothing, and both wrote: the second rename took the name from the file that the first had mapped, so
    that each held one for itself though they count as sharing it. Here both are about to look before either writes.
    """
    folder, both, written, turn = tmp_path / "p", threading.Barrier(2, timeout=20), [], Stored.turn
    save = Context.save_prepared

    def at_once(self):
        both.wait()
        return turn(self)

    monkeypatch.setattr(Stored, "turn", at_once)
    monkeypatch.setattr(Context, "save_prepared", lambda *args: (written.append(args[1]), save(*args))[1])
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: CpuBackend(threads=1, cache=folder).prepare(circuit), range(2)))
    (file,) = folder.iterdir()
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    assert {int(inode) for _, _, _, _, inode, *_ in maps} == {file.stat().st_ino}
    assert len(maps) == 2
    assert written == [file]
    for each in found:
        each.close()


def test_nobody_waits_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "TURN_SECONDS", 0.05)
    store, turns = Stored(tmp_path), []
    with store.turn(), store.turn():
        turns.append("without its turn")
    with store.turn():
        turns.append("in turn")
    assert turns == ["without its turn", "in turn"]


def test_what_others_rename_meanwhile_does_not_end_the_clearing(tmp_path, monkeypatch):
    """An outline is written under another name first: it went after it was listed and before it was looked at, and
    what had been written counted as not written.
    """
    store = Stored(tmp_path / "p", limit_bytes=9000)
    old, new = bytes(32), bytes([1] * 32)
    assert store.write(Files(8000), old, [])
    listed = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [self / f".gone{pattern}", *listed(self, pattern)])
    assert store.write(Files(4000), new, [])
    assert list(store.folder.iterdir()) == [store.path(new)]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_who_is_later_takes_the_file_of_who_was_faster(circuit, tmp_path, monkeypatch):
    """Workers that start at once share one file, and hold not one each."""
    folder, faster, keep = tmp_path / "p", [], preparing.PreparingEvaluator.keep

    def kept(self):
        if not faster:
            faster.append(None)
            faster[0] = CpuBackend(threads=1, cache=folder).prepare(circuit)
        return keep(self)

    monkeypatch.setattr(preparing.PreparingEvaluator, "keep", kept)
    later = CpuBackend(threads=1, cache=folder).prepare(circuit)
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    assert len({line.split()[4] for line in maps}) == 1
    assert not [line for line in maps if "(deleted)" in line]
    later.close()
    faster[0].close()
