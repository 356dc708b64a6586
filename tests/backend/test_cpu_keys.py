"""Key sets: several tenants on one context, files that are mapped, and what becomes of them when they are closed."""

import stat
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine_kit import CpuKit, predict, small_parameters
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.secret import Decryptor, Encryptor
from heclstm.circuit import sizes
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import DigestError, FileFormatError, HandleError, MissingKeyError, OutputError, ParameterError
from laws import RINGS
from random_models import random_model, small_config

LEVEL = 3
MAPS = Path("/proc/self/maps")


@pytest.fixture(scope="module", params=["conjugate_invariant", "standard"])
def kit(request):
    kit = CpuKit(small_parameters(request.param, depth=3), steps=(1, 5))
    yield kit
    kit.close()


def rotated(kit, keys, a, step=1):
    return CpuEvaluator(kit.context, keys).rotate(a, step).serialize()


def test_loaded_keys_are_listed(kit):
    keys = KeySet(kit.context)
    assert keys.loaded.relinearization_level is None
    assert (keys.loaded.rotations, keys.bytes_in_memory, keys.note) == ({}, 0, b"")
    assert keys.load(kit.generator.relinearization_key(kit.secret, 3)) == 0
    assert keys.load(kit.generator.rotation_key(kit.secret, -1, 2)) == kit.parameters.slots - 1
    assert keys.load(kit.generator.rotation_key(kit.secret, 5, 4)) == 5
    assert keys.loaded.relinearization_level == 3
    assert keys.loaded.rotations == {5: 4, kit.parameters.slots - 1: 2}
    # A table of N words for each step is the context's, once for all tenants.
    expected = sum(sizes.evaluation_key_memory(kit.parameters, level) for level in (3, 2, 4))
    assert keys.bytes_in_memory == expected
    assert not keys.loaded.mapped
    keys.close()


@pytest.mark.parametrize("level", [1, 5, 6, 9])
def test_a_key_has_the_digits_and_special_primes_of_its_level(level):
    """Six special primes up to level 5, four above: as many bytes as the parameters say, sent and loaded."""
    parameters = RINGS["special primes by level"]
    kit = CpuKit(parameters, steps=())
    with closing(kit), closing(KeySet(kit.context)) as keys:
        rotation, square = (
            kit.generator.rotation_key(kit.secret, 3, level),
            kit.generator.relinearization_key(kit.secret, level),
        )
        assert len(rotation) == len(square) == sizes.evaluation_key_bytes(parameters, level)
        keys.load(rotation)
        keys.load(square)
        assert keys.bytes_in_memory == 2 * sizes.evaluation_key_memory(parameters, level)


def test_a_key_is_never_replaced(kit):
    with pytest.raises(ParameterError, match="rotation key: this key set has one for step 5 already"):
        kit.keys.load(kit.generator.rotation_key(kit.secret, 5, 2))
    with pytest.raises(ParameterError, match="relinearization key: this key set has one"):
        kit.keys.load(kit.generator.relinearization_key(kit.secret, 2))


def test_two_tenants_on_one_context(kit):
    """Each decrypts its own results, evaluated in turn and at once; keys of the other give noise."""
    other = kit.generator.secret_key()
    theirs = KeySet(kit.context)
    theirs.load(kit.generator.rotation_key(other, 1, kit.top))
    x, y = kit.vector(), kit.vector()
    a = kit.encrypt(x, LEVEL)
    b = kit.context.load_ciphertext(Encryptor(kit.context, other).encrypt(y, level=LEVEL), level=LEVEL)
    decrypt = Decryptor(kit.context, other).decrypt
    expected, both = (rotated(kit, kit.keys, a), rotated(kit, theirs, b)), []

    def repeat():
        both.extend((rotated(kit, kit.keys, a), rotated(kit, theirs, b)) for _ in range(10))

    workers = [threading.Thread(target=repeat) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(both) == {expected}
    noise = predict(lambda s: s.evaluator.rotate(s.encrypt(x, LEVEL), 1), np.roll(x, -1), kit.parameters)
    for read, blob, slots in ((kit.decrypt, expected[0], x), (decrypt, expected[1], y)):
        found = read(kit.context.load_ciphertext(blob, level=LEVEL))
        noise.judge(found - np.roll(slots, -1))
    wrong = kit.decrypt(kit.context.load_ciphertext(rotated(kit, theirs, a), level=LEVEL))
    assert np.abs(wrong).max() > 1e3
    theirs.close()
    other.close()


def test_a_tenant_costs_its_keys_and_nothing_more(kit):
    before = kit.context.allocated_bytes
    theirs = KeySet(kit.context)
    kit.load_rotations(1, 5, keys=theirs)
    assert kit.context.allocated_bytes - before == theirs.bytes_in_memory
    theirs.close()
    assert kit.context.allocated_bytes == before


def test_a_file_serves_as_the_keys_it_was_made_of(kit, tmp_path):
    path, a = tmp_path / "tenant.keyset", kit.encrypt(kit.vector(), LEVEL)
    kit.keys.save(path, b"whose they are")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["tenant.keyset"]
    before = kit.context.allocated_bytes
    opened = KeySet.open(kit.context, path)
    assert kit.context.allocated_bytes == before  # mapped, not read
    assert opened.loaded == kit.keys.loaded.__class__(**{**vars(kit.keys.loaded), "mapped": True})
    assert opened.note == b"whose they are"
    for step in (1, 5):
        assert rotated(kit, opened, a, step) == rotated(kit, kit.keys, a, step)
    with pytest.raises(ParameterError, match="was opened from a file and takes no more"):
        opened.load(kit.generator.rotation_key(kit.secret, 2, 2))
    opened.close()
    with pytest.raises(HandleError, match="KeySet: it is closed"):
        rotated(kit, opened, a)


@pytest.mark.skipif(not MAPS.exists(), reason="this system does not list what is mapped")
def test_closing_unmaps_at_once(kit, tmp_path):
    path = tmp_path / "tenant.keyset"
    kit.keys.save(path)
    opened = KeySet.open(kit.context, path)
    assert str(path) in MAPS.read_text()
    opened.close()
    assert str(path) not in MAPS.read_text()


def test_closing_during_evaluations_is_safe(kit, tmp_path):
    """Each call ends with a result or finds the set closed; none meets memory that is gone."""
    path, a = tmp_path / "tenant.keyset", kit.encrypt(kit.vector(), LEVEL)
    kit.keys.save(path)
    expected, seen = rotated(kit, kit.keys, a), []
    for _ in range(20):
        opened, started = KeySet.open(kit.context, path), threading.Event()

        def repeat(opened=opened, started=started):
            try:
                while True:
                    seen.append(rotated(kit, opened, a))
                    started.set()
            except HandleError:
                return

        workers = [threading.Thread(target=repeat) for _ in range(2)]
        for worker in workers:
            worker.start()
        started.wait()
        opened.close()
        for worker in workers:
            worker.join()
    assert set(seen) == {expected}


def test_files_that_are_no_key_sets(kit, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(FileFormatError, match="file: is no heclstm file"):
        KeySet.open(kit.context, path)
    for absent in (tmp_path / "absent", tmp_path):
        with pytest.raises(FileFormatError, match="is absent or no regular file"):
            KeySet.open(kit.context, absent)
    with pytest.raises(OutputError, match="exists and is no key set"):
        kit.keys.save(path)
    assert path.read_bytes() == b"x" * 5000
    with pytest.raises(OutputError, match=r"cannot be written \(no such file or directory\)"):
        kit.keys.save(tmp_path / "absent" / "file")
    with pytest.raises(ParameterError, match="a note of 4097 bytes, expected at most 4096"):
        kit.keys.save(tmp_path / "noted", b"x" * 4097)


def test_a_file_of_other_parameters(kit, tmp_path):
    other = CpuKit(small_parameters(kit.parameters.ring, depth=4), steps=(1,))
    other.keys.save(tmp_path / "foreign")
    with pytest.raises(DigestError, match="made for other parameters; load the tenant's keys again"):
        KeySet.open(kit.context, tmp_path / "foreign")
    other.close()


def test_a_damaged_key_is_refused_when_it_is_used(kit, tmp_path):
    """And a file that was cut before a byte of it is used. Every damage is tried in native/keyset_test.go."""
    path = tmp_path / "tenant.keyset"
    kit.keys.save(path)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # of the last key, step 5
    path.write_bytes(data)
    opened, a = KeySet.open(kit.context, path), kit.encrypt(kit.vector(), LEVEL)
    assert rotated(kit, opened, a) == rotated(kit, kit.keys, a)
    for _ in range(2):
        with pytest.raises(FileFormatError, match="the rotation key of step 5 is damaged"):
            rotated(kit, opened, a, 5)
    opened.close()
    path.write_bytes(data[:-4])
    with pytest.raises(FileFormatError, match=r"got \d+ bytes, expected \d+; it is truncated"):
        KeySet.open(kit.context, path)


# of a program


@pytest.fixture(scope="module")
def prepared():
    options = Options(ring_degree=1024, security="INSECURE_TEST", special_count=4)
    circuit = compile_circuit(random_model(small_config(), 0), options)
    prepared = CpuBackend(threads=2).prepare(circuit)
    yield prepared
    prepared.close()


@pytest.fixture(scope="module")
def blobs(prepared):
    kit = CpuKit(prepared.circuit.parameters, steps=())
    made = list(kit.key_blobs(prepared.circuit))
    kit.close()
    return made


def test_progress_of_loading(prepared, blobs):
    seen = []
    prepared.load_keys(blobs, lambda done, total: seen.append((done, total))).close()
    total = sum(len(blob) for _, blob in blobs)
    assert {all_of_it for _, all_of_it in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)


@pytest.mark.parametrize("missing", [0, -1])
def test_keys_that_a_program_needs(prepared, blobs, missing):
    """Absent or too low: refused at once and not in the middle of an evaluation, and nothing stays in memory."""
    before = prepared.context.allocated_bytes
    name = blobs[missing][0]
    with pytest.raises(MissingKeyError, match=rf"evaluation keys: {name} is needed at level \d+, got none"):
        prepared.load_keys([pair for pair in blobs if pair[0] != name])
    with pytest.raises(MissingKeyError, match="is needed at level"):
        prepared.load_keys()
    low = CpuKit(prepared.circuit.parameters, steps=())
    key = (
        low.generator.relinearization_key(low.secret, 1)
        if name == "relinearization"
        else low.generator.rotation_key(low.secret, int(name.split()[1]), 1)
    )
    changed = dict(blobs) | {name: key}
    with pytest.raises(MissingKeyError, match=rf"{name} is needed at level \d+, got one for level 1"):
        prepared.load_keys(changed.items())
    low.close()
    assert prepared.context.allocated_bytes <= before + 4 * prepared.circuit.parameters.ring_degree * len(blobs)


def test_a_key_under_the_name_of_another(prepared, blobs):
    swapped = [(blobs[1][0], blobs[2][1]), *blobs[2:]]
    first, second = (name.split()[1] for name, _ in blobs[1:3])
    with pytest.raises(FileFormatError, match=f"got the key of step {second} under the name of step {first}; get"):
        prepared.load_keys(swapped)
    for name in ("", "rotation", "rotation 0", "rotation 05", "rotation -5", "rotation ٥", "rotation 1e3", "x"):
        with pytest.raises(FileFormatError, match="a key has no name of its own"):
            prepared.load_keys([(name, blobs[1][1])])


def test_a_saved_set_serves_a_program(prepared, blobs, tmp_path):
    keys = prepared.load_keys(blobs)
    keys.save(tmp_path / "tenant.keyset")
    opened = prepared.load_keys(tmp_path / "tenant.keyset")
    assert opened.loaded.rotations == keys.loaded.rotations
    keys.close()
    opened.close()
