"""Hospitals and a server in one process, on a small insecure ring: whose keys, whose query, whose result."""

import gc
import os
import sys
import threading

import numpy as np
import psutil
import pytest

from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.secret import SecretKey
from heclstm.backend.registry import backend
from heclstm.compiler.compile import Options, compile_model
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.deploy.server import Server
from heclstm.deploy.wire import Kind, read_header
from heclstm.errors import Cancelled, DigestError, FileFormatError, HandleError
from heclstm.program.files import load_card, load_program, save_program
from heclstm.service.blobs import FolderBlobs
from heclstm.service.evaluation import expand
from heclstm.service.workers.evaluating import EvaluatingWorker
from heclstm.service.workers.messages import Result, Task
from heclstm.storage.container import received
from messages import read_file, write_file
from random_models import random_frames, random_model, small_config

OPTIONS = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")


class Hospital:
    def __init__(self, card, folder, seed):
        self.folder, self.client = folder, Client(card, allow_insecure=True)
        self.client.generate_keys(folder)
        self.keys, self.query = folder / EVALUATION_KEYS_FILE, folder / "query.he"
        frames = random_frames(small_config(), 1, seed)[0].astype(np.float32)
        self.client.encrypt(ImageSequence(frames, "x"), self.query)
        self.result = folder / "result.he"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    save_program(compile_model(random_model(small_config(), 0), OPTIONS), folder / "program")
    return folder / "program"


@pytest.fixture(scope="module")
def hospitals(program, tmp_path_factory):
    card = load_card(program)
    made = [Hospital(card, tmp_path_factory.mktemp(f"hospital{seed}"), seed) for seed in (1, 2)]
    yield made
    for hospital in made:
        hospital.client.close()


@pytest.fixture(scope="module")
def server(program):
    server = Server(load_program(program), CpuBackend(threads=2))
    yield server
    server.close()


def test_many_tenants_on_many_threads(server, hospitals):
    """Each hospital reads its own results, the same whoever else is served at that moment."""
    keys = [server.open_keys(hospital.keys) for hospital in hospitals]
    alone, found, failures = [], [[] for _ in hospitals], []
    for hospital, tenant in zip(hospitals, keys, strict=True):
        server.evaluate(hospital.query, tenant, hospital.result)
        alone.append(hospital.client.decrypt(hospital.result, query=hospital.query).scores)

    def serve(i, name):
        try:
            for _ in range(3):
                result = hospitals[i].folder / name
                server.evaluate(hospitals[i].query, keys[i], result)
                found[i].append(hospitals[i].client.decrypt(result, query=hospitals[i].query).scores)
        except Exception as error:  # it would vanish with its thread
            failures.append(error)

    workers = [threading.Thread(target=serve, args=(i, f"{n}.he")) for i in range(2) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert [set(scores) for scores in found] == [{scores} for scores in alone]
    assert alone[0] != alone[1]
    for tenant in keys:
        tenant.close()


def test_a_query_and_anothers_keys(server, hospitals):
    first, second = hospitals
    with server.open_keys(second.keys) as tenant:
        with pytest.raises(DigestError, match=r"this query belongs to key \w+, expected \w+"):
            server.evaluate(first.query, tenant, first.result)
        with pytest.raises(DigestError, match=r"message of \d+ bytes: this query belongs to key"):
            server.evaluate(first.query.read_bytes(), tenant)


def test_a_key_under_another_name_is_refused(server, hospitals):
    """The checksum fits and the sizes do; only the steps inside of the blobs tell."""
    hospital = hospitals[0]
    blobs = [blob for _, blob in read_file(hospital.keys, Kind.EVALUATION_KEYS)]
    header = read_header(hospital.keys, Kind.EVALUATION_KEYS)
    same = [i for i, (_, size) in enumerate(header.blobs) if size == header.blobs[-1][1]]
    blobs[same[-2]] = blobs[same[-1]]
    write_file(hospital.folder / "false.keys", header, blobs)
    with pytest.raises(FileFormatError, match=r"got the key of step \d+ under the name of step \d+"):
        server.open_keys(hospital.folder / "false.keys")


def test_damaged_keys_stay_out(server, hospitals):
    """The checksum is the last thing that is read; nothing that came before is kept."""
    hospital = hospitals[0]
    data = bytearray(hospital.keys.read_bytes())
    data[-1] ^= 1
    (hospital.folder / "damaged.keys").write_bytes(data)
    before = server.prepared.context.allocated_bytes
    with pytest.raises(FileFormatError, match="its checksum does not fit"):
        server.open_keys(hospital.folder / "damaged.keys")
    assert server.prepared.context.allocated_bytes == before


def test_a_result_of_another_query_is_refused(server, hospitals):
    hospital = hospitals[0]
    other = hospital.folder / "other.he"
    frames = random_frames(small_config(), 1, 7)[0].astype(np.float32)
    hospital.client.encrypt(ImageSequence(frames, "other"), other)
    with server.open_keys(hospital.keys) as tenant:
        server.evaluate(hospital.query, tenant, hospital.result)
    assert hospital.client.decrypt(hospital.result, query=hospital.query).scores
    with pytest.raises(DigestError, match="belongs to another sequence"):
        hospital.client.decrypt(hospital.result, query=other)


def test_saved_keys_are_opened_at_once(server, hospitals, program, tmp_path):
    hospital, path = hospitals[0], tmp_path / "tenant.keyset"
    with server.open_keys(hospital.keys) as tenant:
        tenant.save(path)
        server.evaluate(hospital.query, tenant, hospital.result)
        expected = [blob for _, blob in read_file(hospital.result, Kind.RESULT)]
    before = server.prepared.context.allocated_bytes
    with server.open_keys(path) as tenant:
        assert server.prepared.context.allocated_bytes == before
        server.evaluate(hospital.query, tenant, hospital.result)
        assert [blob for _, blob in read_file(hospital.result, Kind.RESULT)] == expected
        with pytest.raises(DigestError, match="belongs to key"):
            server.evaluate(hospitals[1].query, tenant, hospitals[1].result)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what stands in memory")
def test_keys_that_rest_take_no_memory_and_serve_again(server, hospitals, tmp_path):
    """Also in the middle of an evaluation: what it needs comes back."""
    hospital, path = hospitals[0], tmp_path / "tenant.keyset"
    with server.open_keys(hospital.keys) as tenant:
        tenant.rest()  # of no file: they stay
        server.evaluate(hospital.query, tenant, hospital.result)
        expected = [blob for _, blob in read_file(hospital.result, Kind.RESULT)]
        tenant.save(path)
    with server.open_keys(path) as tenant:
        for observe in (None, lambda *_: tenant.rest()):
            server.evaluate(hospital.query, tenant, hospital.result, observe=observe)
            assert [blob for _, blob in read_file(hospital.result, Kind.RESULT)] == expected
        server.evaluate(hospital.query, tenant, hospital.result)
        assert in_memory(path) > 0.9 * path.stat().st_size
        tenant.rest()
        assert in_memory(path) == 0
    with pytest.raises(HandleError, match="KeySet: it is closed"):
        tenant.rest()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, pages do not leave")
def test_keys_that_went_bad_while_they_rested_are_refused(server, hospitals, tmp_path):
    """On a disk, where the system dropped them from its cache meanwhile."""
    hospital, path = hospitals[0], tmp_path / "tenant.keyset"
    with server.open_keys(hospital.keys) as tenant:
        tenant.save(path)
    with server.open_keys(path) as tenant:
        server.evaluate(hospital.query, tenant, hospital.result)
        tenant.rest()
        with path.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            byte = file.read(1)
            file.seek(-100, os.SEEK_END)
            file.write(bytes([byte[0] ^ 1]))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with pytest.raises(FileFormatError, match="tenant.keyset: the rotation key of step .* is damaged"):
            server.evaluate(hospital.query, tenant, hospital.result)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root gives files away")
def test_keys_of_another_user_s_file_are_checked_after_every_rest(server, hospitals, tmp_path):
    """Of it, the system does not tell what stayed in its memory: here all did, and one bit was turned there."""
    hospital, path = hospitals[0], tmp_path / "tenant.keyset"
    with server.open_keys(hospital.keys) as tenant:
        tenant.save(path)
    os.chown(path, 65534, -1)
    with server.open_keys(path) as tenant:
        server.evaluate(hospital.query, tenant, hospital.result)
        tenant.rest()
        server.evaluate(hospital.query, tenant, hospital.result)
        tenant.rest()
        content = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(bytes([content[-100] ^ 1]))
        with pytest.raises(FileFormatError, match="tenant.keyset: the rotation key of step .* is damaged"):
            server.evaluate(hospital.query, tenant, hospital.result)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what stands in memory")
def test_a_worker_has_the_keys_of_one_tenant_in_memory(program, hospitals, tmp_path):
    """Those of the others stay open, checked, and out of memory."""
    card, blobs = load_card(program), FolderBlobs(tmp_path)
    for number, hospital in enumerate(hospitals):
        with received(hospital.keys, Kind.EVALUATION_KEYS) as message:
            expand(card, message.header.key, message, blobs.local(f"keys/{number}"), 1)
    worker = EvaluatingWorker(program, 1, blobs)
    worker.prepare()
    for turn, number in enumerate((0, 1, 0)):
        task = Task(turn, str(number), hospitals[number].query.read_bytes())
        assert isinstance(worker.evaluate(task, lambda _: None), Result)
        sizes = [in_memory(blobs.local(f"keys/{each}")) for each in (0, 1)]
        assert sizes[1 - number] == 0
        assert sizes[number] > 0
    worker.close_keys(("0", "1"))
    worker._evaluator._server.close()  # a process of its own ends, where there is one


def in_memory(path):
    """Bytes of a mapped file that stand in this process."""
    found = [each for each in psutil.Process().memory_maps(grouped=False) if each.path == str(path)]
    return sum(each.rss for each in found)


@pytest.mark.parametrize(
    ("note", "error", "match"),
    [
        (b'{"program": "0123", "key": "45"}', DigestError, "were saved for program 0123, expected"),
        (b"", FileFormatError, "does not say whose keys it holds"),
        (b"[]", FileFormatError, "does not say whose keys it holds"),
        (b'{"program": 1, "key": 2}', FileFormatError, "does not say whose keys it holds"),
        (b'{"program": "0123"}', FileFormatError, "does not say whose keys it holds"),
    ],
)
def test_saved_keys_of_nobody(server, hospitals, tmp_path, note, error, match):
    with server.open_keys(hospitals[0].keys) as tenant:
        tenant.keys.save(tmp_path / "tenant.keyset", note)
    with pytest.raises(error, match=match):
        server.open_keys(tmp_path / "tenant.keyset")


def test_keys_that_are_no_file(server, tmp_path):
    (tmp_path / "text").write_text("no keys")
    with pytest.raises(FileFormatError, match="text: is no heclstm file"):
        server.open_keys(tmp_path / "text")
    with pytest.raises(FileFormatError, match="absent: cannot be read"):
        server.open_keys(tmp_path / "absent")


def test_closing_keys_lets_an_evaluation_finish(server, hospitals):
    """A tenant who leaves in the middle of an evaluation gets its result; the next is refused, and memory is freed."""
    hospital = hospitals[0]
    before = server.prepared.context.allocated_bytes
    tenant = server.open_keys(hospital.keys)
    size = tenant.bytes_in_memory
    server.evaluate(hospital.query, tenant, hospital.result, observe=lambda *_: tenant.close())
    assert hospital.client.decrypt(hospital.result, query=hospital.query).scores
    with pytest.raises(HandleError, match="KeySet: it is closed"):
        server.evaluate(hospital.query, tenant, hospital.result)
    assert server.prepared.context.allocated_bytes - before < size / 2  # a few limbs more in the pool


def test_two_tenants_take_one_program_and_two_key_sets(server, hospitals, program):
    """To the byte, when no query is under way: what they share was made with the program."""
    gc.collect()  # an error that was caught holds the ciphertexts of its call
    server.prepared.context.rest()
    before = server.prepared.context.allocated_bytes
    own = Server(load_program(program), CpuBackend(threads=1))
    expected = before + own.prepared.bytes_in_memory
    assert own.prepared.context.allocated_bytes == expected
    tenants = [own.open_keys(hospital.keys) for hospital in hospitals]
    for hospital, tenant in zip(hospitals, tenants, strict=True):
        own.evaluate(hospital.query, tenant, hospital.result)
        expected += tenant.bytes_in_memory
    own.prepared.context.rest()
    assert own.prepared.context.allocated_bytes == expected
    for tenant in tenants:
        tenant.close()
    own.close()
    assert server.prepared.context.allocated_bytes == before


def test_cancelling_writes_no_result(server, hospitals):
    hospital, event = hospitals[0], threading.Event()
    with server.open_keys(hospital.keys) as tenant:
        event.set()
        with pytest.raises(Cancelled):
            server.evaluate(hospital.query, tenant, hospital.folder / "never.he", cancel=event)
        assert not (hospital.folder / "never.he").exists()
        event.clear()
        seen = []
        server.evaluate(
            hospital.query, tenant, hospital.result, cancel=event, on_progress=lambda *both: seen.append(both)
        )
        assert seen[-1][0] == seen[-1][1]


def test_a_hospital_wipes_its_copy_of_the_secret(program, tmp_path, monkeypatch):
    """What left the engine to be written into secret.key is overwritten as soon as that is done."""
    copies, serialize = [], SecretKey.serialize

    def kept(key):
        copies.append(serialize(key))
        return copies[-1]

    monkeypatch.setattr(SecretKey, "serialize", kept)
    client = Client(load_card(program), allow_insecure=True)
    client.generate_keys(tmp_path)
    client.close()
    assert len(copies) == 1
    assert copies[0]
    assert not any(copies[0])


def test_any_backend_may_serve(program, hospitals):
    """A server asks for no more than the contract; slots in clear are its queries then."""
    loaded = load_program(program)
    server = Server(loaded, backend("clear"))
    prepared, layout = server.prepared, loaded.circuit.input_layout
    packed = layout.pack(random_frames(small_config(), 1, 3)[0].reshape(layout.frames, -1))
    inputs = prepared.load([row.astype("<f8").tobytes() for row in packed])
    assert prepared.store(prepared.evaluate(inputs, prepared.load_keys()))
    server.close()
