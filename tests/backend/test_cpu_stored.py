"""What is prepared is kept for the next process: the same bits, and only from files that nobody else could write."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine_kit import CpuKit
from heclstm.backend.cpu import preparing, stored
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.stored import Stored, identity_of
from heclstm.backend.cpu.values import Transform
from heclstm.backend.machine import prepared_folder
from heclstm.circuit.cost import estimate
from heclstm.circuit.operations import LinearTransform
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import DigestError, FileFormatError, OutputError
from random_models import random_frames, random_model, small_config
from written import Files


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

    def run(backend):
        prepared = backend.prepare(circuit)
        keys = prepared.load_keys(blobs)
        result = prepared.store(prepared.evaluate(prepared.load(query), keys))
        keys.close()
        prepared.close()
        return result

    yield run
    kit.close()


@pytest.mark.parametrize("options", [{}, {"memory": 0}], ids=["whole", "compact"])
def test_what_was_kept_gives_the_same_bits(evaluate, circuit, tmp_path, options):
    """Made without a folder, made and kept, and mapped; the file is the owner's alone."""
    folder = tmp_path / "prepared"
    expected = evaluate(CpuBackend(threads=2, **options))
    assert evaluate(CpuBackend(threads=2, cache=folder, **options)) == expected
    (file,) = folder.iterdir()
    before = file.stat().st_ino
    assert evaluate(CpuBackend(threads=2, cache=folder, **options)) == expected
    assert file.stat().st_ino == before  # it was read, and not written again
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_what_is_kept_takes_no_memory_of_its_own(circuit, tmp_path):
    """Neither of the process that made it nor of the next: its words stand in the file alone."""
    with Context(circuit.parameters, threads=1) as probe:  # which counts for the whole process

        def grown(cache):
            before = probe.allocated_bytes
            prepared = CpuBackend(threads=1, cache=cache).prepare(circuit)
            transforms = [each.bytes_in_memory for each in prepared._executor.prepared if isinstance(each, Transform)]
            grown = probe.allocated_bytes - before
            prepared.close()
            assert probe.allocated_bytes == before
            return grown, sum(transforms)

        (alone, held), (made, _), (mapped, _) = grown(None), grown(tmp_path / "p"), grown(tmp_path / "p")
    assert alone - made == held
    assert mapped <= made
    (file,) = (tmp_path / "p").iterdir()
    assert held < file.stat().st_size < held + 4 * held // 100 + 4096 * (len(plans_of(circuit)) + 1)


def plans_of(circuit):
    return [operation.plan for operation in circuit.operations if isinstance(operation, LinearTransform)]


@pytest.fixture(scope="module")
def prepared(circuit, tmp_path_factory):
    """The folder of a program that was prepared once."""
    folder = tmp_path_factory.mktemp("once") / "prepared"
    CpuBackend(threads=1, cache=folder).prepare(circuit).close()
    return folder


@pytest.fixture
def kept(prepared, circuit, tmp_path):
    """(store, its file, whether `open` takes it), a copy for each test."""
    folder = shutil.copytree(prepared, tmp_path / "prepared")
    (file,) = folder.iterdir()
    store, identity = Stored(folder), identity_for(circuit)
    assert store.path(identity) == file

    def taken():
        with Context(circuit.parameters, threads=1) as context:
            found = store.open(context, identity)
            if found:
                found.close()
            return found is not None

    assert taken()
    return store, file, taken


def identity_for(circuit, whole=True):
    plans = plans_of(circuit)
    return identity_of(plans, [whole] * len(plans), circuit.parameters)


def changed(at, value=1):
    """XOR one byte."""

    def change(file):
        content = bytearray(file.read_bytes())
        content[at] ^= value
        file.write_bytes(content)

    return change


DAMAGED = {
    "a bit of its last number differs": changed(-1),
    "a bit of its first number differs": changed(4096),
    "a number is above its prime": changed(-1, 0x80),
    "it is of another version": changed(8),
    "its ring is another": changed(12, 4),
    "it says that it has more transforms": changed(16),
    "it says that it has more rows": changed(20),
    "its parameters are others": changed(24),
    "its length is another": changed(40),
    "its checksum is another": changed(48),
    "zeros are none": changed(52),
    "it was made of another program": changed(64),
    "a level is another": changed(96),
    "a checksum of a row is another": changed(96 + 32 * 9),
    "it is no such file": changed(0),
    "it is cut": lambda file: file.write_bytes(file.read_bytes()[:-4]),
    "it is cut in its head": lambda file: file.write_bytes(file.read_bytes()[:50]),
    "it has a tail": lambda file: file.write_bytes(file.read_bytes() + bytes(4096)),
    "it is empty": lambda file: file.write_bytes(b""),
}
DISTRUSTED = {
    "the group may write it": lambda file: file.chmod(0o620),
    "others may read it": lambda file: file.chmod(0o604),
    "others may write its folder": lambda file: file.parent.chmod(0o702),
    "it is a link": lambda file: (file.rename(file.with_suffix(".x")), file.symlink_to(file.with_suffix(".x"))),
    "it is not there": lambda file: file.unlink(),
    "it is a folder": lambda file: (file.unlink(), file.mkdir(0o700)),
}


@pytest.mark.parametrize("reason", DAMAGED | DISTRUSTED)
def test_what_others_may_have_written_is_not_taken(kept, reason):
    _, file, taken = kept
    (DAMAGED | DISTRUSTED)[reason](file)
    assert not taken()


def test_another_users_file_is_not_taken(kept, monkeypatch):
    _, file, taken = kept
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    assert not taken()


def test_what_is_damaged_is_made_again(kept, circuit):
    store, file, taken = kept
    before = file.read_bytes()
    for damage in DAMAGED.values():
        damage(file)
        CpuBackend(threads=1, cache=store.folder).prepare(circuit).close()
        assert file.read_bytes() == before
    assert taken()


def test_transforms_of_another_shape_are_not_taken(circuit, evaluate, tmp_path, monkeypatch):
    """Whatever a file's name and identity say: what it holds must be what the plan asks for."""
    monkeypatch.setattr(preparing, "identity_of", lambda *_: bytes(32))
    folder, expected = tmp_path / "p", evaluate(CpuBackend(threads=1))
    with Context(circuit.parameters, threads=1) as context:
        made = [context.transform(plan) for plan in reversed(plans_of(circuit))]
        assert Stored(folder).write(context, bytes(32), made)
        with pytest.raises(FileFormatError, match="place 0 of the prepared program holds another one"):
            context.transform(plans_of(circuit)[0], held=(Stored(folder).open(context, bytes(32)), 0))
        with pytest.raises(FileFormatError, match=r"got place 9\d* of a prepared program of \d"):
            context.transform(plans_of(circuit)[0], held=(Stored(folder).open(context, bytes(32)), 99))
    assert evaluate(CpuBackend(threads=1, cache=folder)) == expected


def test_a_program_that_is_in_use_outlives_its_file(circuit, kept, evaluate):
    """Its pages stay until it is closed: when the file is removed, and when another takes its place."""
    store, file, _ = kept
    backend = CpuBackend(threads=1, cache=store.folder)
    first = backend.prepare(circuit)
    file.unlink()
    second = backend.prepare(circuit)
    sizes = {prepared.bytes_in_memory for prepared in (first, second)}
    first.close()
    assert len(sizes) == 1
    assert evaluate(backend) == evaluate(CpuBackend(threads=1))
    second.close()


def test_several_at_once_keep_one_file(circuit, tmp_path, evaluate):
    """As workers of a service do at its first start: each whole, whoever writes last."""
    folder, expected = tmp_path / "p", evaluate(CpuBackend(threads=1))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: evaluate(CpuBackend(threads=1, cache=folder)), range(4)))
    assert found == [expected] * 4
    assert [path.suffix for path in folder.iterdir()] == [".prepared"]


def test_other_numbers_have_another_name(circuit, monkeypatch):
    """Vectors, what is held whole, processor, release: each is part of it."""
    names = {identity_for(circuit), identity_for(circuit, whole=False), identity_for(circuit.without_vectors())}
    monkeypatch.setattr(stored, "ABI", stored.ABI + 1)
    names.add(identity_for(circuit))
    assert len(names) == 4


def test_the_folder_is_bounded(tmp_path):
    """What was used the longest ago goes first, with what killed processes left; what is too large is not kept."""
    store = Stored(tmp_path / "p", limit_bytes=9000)
    identities = [bytes([number] * 32) for number in range(4)]
    for number, identity in enumerate(identities):
        assert store.write(Files(4000), identity, [SimpleNamespace(bytes_in_memory=4000)])
        os.utime(store.path(identity), (number, number))
    assert sorted(store.folder.iterdir()) == [store.path(identity) for identity in identities[2:]]
    assert not store.write(Files(9001), identities[0], [SimpleNamespace(bytes_in_memory=9001)])
    assert not store.path(identities[0]).exists()
    left = store.folder / f".{identities[0].hex()[:32]}.prepared-1"
    left.write_bytes(b"")
    os.utime(left, (0, 0))
    assert store.write(Files(1), identities[1], [])
    assert not left.exists()


def test_a_full_disk_is_left_alone(circuit, kept, monkeypatch):
    """More than half of what is free is not taken, and what ends in the middle leaves nothing."""
    store, file, _ = kept
    file.unlink()
    size = sum(plan.vectors.size for plan in plans_of(circuit))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))
    CpuBackend(threads=1, cache=store.folder).prepare(circuit).close()
    assert list(store.folder.iterdir()) == []


def test_where_nothing_can_be_written_it_runs_without(circuit, kept, evaluate, monkeypatch):
    """A write that fails, as on a full disk or in a folder that is read-only."""
    store, file, _ = kept
    file.unlink()

    def full(*_):
        raise OutputError("no space left on device")

    monkeypatch.setattr(Context, "save_prepared", full)
    assert evaluate(CpuBackend(threads=1, cache=store.folder)) == evaluate(CpuBackend(threads=1))
    assert list(store.folder.iterdir()) == []


def test_what_fails_in_the_middle_leaves_nothing(circuit, tmp_path):
    """The engine's own writing: into a folder that is not there, and over a folder of that name."""
    with Context(circuit.parameters, threads=1) as context:
        made = [context.transform(plans_of(circuit)[0])]
        with pytest.raises(OutputError, match="cannot be written"):
            context.save_prepared(tmp_path / "none" / "x.prepared", bytes(32), made)
        (tmp_path / "x.prepared").mkdir()
        with pytest.raises(OutputError, match="cannot be written"):
            context.save_prepared(tmp_path / "x.prepared", bytes(32), made)
        assert [path.name for path in tmp_path.iterdir()] == ["x.prepared"]
        context.save_prepared(tmp_path / "y", bytes(32), made)
        with pytest.raises(DigestError, match="made of another program"):
            context.open_prepared(tmp_path / "y", b"1" * 32)


def test_a_read_only_folder_is_read(circuit, kept, evaluate):
    """What stands in it is taken."""
    store, file, _ = kept
    before = file.stat().st_ino
    store.folder.chmod(0o500)
    try:
        assert evaluate(CpuBackend(threads=1, cache=store.folder)) == evaluate(CpuBackend(threads=1))
        assert file.stat().st_ino == before
    finally:
        store.folder.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_done_without(circuit, tmp_path):
    (tmp_path / "file").write_text("")
    CpuBackend(threads=1, cache=tmp_path / "file" / "prepared").prepare(circuit).close()
    assert Path(tmp_path / "file").read_text() == ""


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
    everything = estimate(circuit, memory=1e12, threads=1)
    least = estimate(circuit, memory=0, threads=1)
    assert (len(least.held_whole), len(everything.held_whole)) == (0, len(plans_of(circuit)))
    between = (least.peak_memory + everything.peak_memory) // 2
    found = estimate(circuit, memory=between, threads=1)
    assert least.peak_memory < found.peak_memory <= between
    assert 0 < len(found.held_whole) < len(everything.held_whole)
    for costs in (least, found, everything):
        prepared = CpuBackend(threads=1, memory=costs.peak_memory).prepare(circuit)
        assert prepared.bytes_in_memory == costs.prepared_memory
        prepared.close()
