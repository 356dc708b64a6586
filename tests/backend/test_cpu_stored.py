"""What is prepared is kept for the next process: the same bits, and only from files that nobody else could write."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from engine_kit import CpuKit
from heclstm.backend.cpu import stored
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.stored import Stored
from heclstm.backend.machine import prepared_folder
from heclstm.circuit.cost import estimate
from heclstm.circuit.operations import LinearTransform
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import ParameterError
from random_models import random_frames, random_model, small_config


@pytest.fixture(scope="module")
def circuit():
    options = Options(ring_degree=2048, security="INSECURE_TEST", special_count=4)
    return compile_circuit(random_model(small_config(), 0), options)


@pytest.fixture(scope="module")
def evaluate(circuit):
    """A backend → the bytes of a result, and whether it took what was kept."""
    kit = CpuKit(circuit.parameters, steps=())
    layout = circuit.input_layout
    frames = random_frames(small_config(), 1, 0).reshape(layout.frames, -1)
    query = [kit.encryptor.encrypt(slots, level=circuit.input_level) for slots in layout.pack(frames)]
    blobs = list(kit.key_blobs(circuit))

    def run(backend, embed=True):
        with pytest.MonkeyPatch.context() as patch:
            if not embed:
                patch.setattr(Context, "coefficients", None)
            prepared = backend.prepare(circuit)
        keys = prepared.load_keys(blobs)
        result = prepared.store(prepared.evaluate(prepared.load(query), keys))
        keys.close()
        prepared.close()
        return result

    yield run
    kit.close()


def test_what_was_kept_gives_the_same_bits(evaluate, tmp_path):
    """Whole or compact; and from the second time on nothing is embedded."""
    folder = tmp_path / "prepared"
    expected = evaluate(CpuBackend(threads=2))
    assert evaluate(CpuBackend(threads=2, cache=folder)) == expected
    for options in ({}, {"compact": True}, {"memory": 1e12}):
        assert evaluate(CpuBackend(threads=2, cache=folder, **options), embed=False) == expected
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def plans_of(circuit):
    return [operation.plan for operation in circuit.operations if isinstance(operation, LinearTransform)]


@pytest.fixture
def kept(circuit, tmp_path):
    """(store, its file, the plans) after a program was prepared once."""
    folder = tmp_path / "prepared"
    CpuBackend(threads=1, cache=folder).prepare(circuit).close()
    (file,) = folder.iterdir()
    store, plans = Stored(folder), plans_of(circuit)
    assert store.path(plans, circuit.parameters) == file
    assert len(store.read(file, plans, circuit.parameters)) == len(plans)
    return store, file, plans


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DISTRUSTED = {
    "a bit of it differs": flip,
    "it is cut": lambda file: file.write_bytes(file.read_bytes()[:-4]),
    "it is empty": lambda file: file.write_bytes(b""),
    "the group may write it": lambda file: file.chmod(0o620),
    "others may read it": lambda file: file.chmod(0o604),
    "others may write its folder": lambda file: file.parent.chmod(0o702),
    "it is a link": lambda file: (file.rename(file.with_suffix(".x")), file.symlink_to(file.with_suffix(".x"))),
    "it is not there": lambda file: file.unlink(),
}


@pytest.mark.parametrize("reason", DISTRUSTED)
def test_what_others_may_have_written_is_not_taken(kept, circuit, reason):
    store, file, plans = kept
    DISTRUSTED[reason](file)
    assert store.read(file, plans, circuit.parameters) is None


def test_another_users_file_is_not_taken(kept, circuit, monkeypatch):
    store, file, plans = kept
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    assert store.read(file, plans, circuit.parameters) is None


def test_what_is_damaged_is_made_again(kept, circuit, evaluate):
    store, file, plans = kept
    before = file.read_bytes()
    flip(file)
    CpuBackend(threads=1, cache=store.folder).prepare(circuit).close()
    assert file.read_bytes() == before


def test_other_numbers_have_another_name(kept, circuit, monkeypatch):
    """Vectors, scales, parameters, processor, release: each is part of it."""
    store, file, plans = kept
    changed = circuit.without_vectors()
    assert store.path(plans_of(changed), circuit.parameters) != file
    monkeypatch.setattr(stored, "ABI", stored.ABI + 1)
    assert store.path(plans, circuit.parameters) != file


def test_the_folder_is_bounded(circuit, tmp_path):
    """What was used the longest ago goes first; what is larger than the bound is not kept."""
    arrays = [np.arange(1000, dtype=np.int32)]
    store = Stored(tmp_path / "p", limit_bytes=9000)
    for number in range(4):
        path = store.folder / f"{number}.prepared"
        store.write(path, arrays)
        os.utime(path, (number, number))
    assert sorted(path.name for path in store.folder.iterdir()) == ["2.prepared", "3.prepared"]
    store.write(store.folder / "large.prepared", 3 * arrays)
    assert not (store.folder / "large.prepared").exists()


def test_a_folder_that_cannot_be_made_is_done_without(circuit, tmp_path):
    (tmp_path / "file").write_text("")
    CpuBackend(threads=1, cache=tmp_path / "file" / "prepared").prepare(circuit).close()
    assert Path(tmp_path / "file").read_text() == ""


def test_coefficients_of_another_plan_are_refused(circuit):
    plan = plans_of(circuit)[0]
    with Context(circuit.parameters, threads=1) as context:
        found = context.coefficients(plan)
        with pytest.raises(ParameterError, match=r"transform: got coefficients \(0, \d+\)"):
            context.transform(plan, found[:0])
        found[0, 0] = 2**30
        with pytest.raises(ParameterError, match="a coefficient is not below the smallest prime"):
            context.transform(plan, found)


def test_a_program_forgets_its_vectors(circuit):
    """They are prepared; what stands in their place takes no memory and cannot be computed with."""
    prepared = CpuBackend(threads=1).prepare(circuit)
    for plan, before in zip(plans_of(prepared.circuit), plans_of(circuit), strict=True):
        assert plan.vectors.shape == before.vectors.shape
        assert plan.vectors.strides == (0, 0)
        assert np.isnan(plan.vectors).all()
    prepared.close()


def test_a_user_without_a_home_keeps_nothing(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert prepared_folder() is None


def test_as_much_is_held_whole_as_the_bound_allows(circuit):
    """None, all, or all but what does not fit; and the prepared program holds what was estimated."""
    everything = estimate(circuit, memory=1e12)
    least = estimate(circuit, memory=0)
    assert (len(least.held_whole), len(everything.held_whole)) == (0, len(plans_of(circuit)))
    between = (least.peak_memory + everything.peak_memory) // 2
    found = estimate(circuit, memory=between)
    assert least.peak_memory < found.peak_memory <= between
    assert 0 < len(found.held_whole) < len(everything.held_whole)
    for costs in (least, found, everything):
        prepared = CpuBackend(threads=1, memory=costs.peak_memory).prepare(circuit)
        assert prepared.bytes_in_memory == costs.plaintext_memory
        prepared.close()


def test_writing_takes_no_copy(tmp_path):
    arrays = [np.zeros((1, 1 << 22), np.int32)]
    tracemalloc.start()
    Stored(tmp_path / "p").write(tmp_path / "p" / "x.prepared", arrays)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert (tmp_path / "p" / "x.prepared").stat().st_size > 4 << 22
