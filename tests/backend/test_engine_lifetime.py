"""Serialization, loaded keys, memory, threads."""

import gc
import threading

import numpy as np
import psutil
import pytest

from engine_kit import Kit, small_parameters
from heclstm.backend.lattigo_secret import Decryptor, Encryptor, KeyGenerator, SecretKey
from heclstm.circuit import sizes
from heclstm.circuit.operations import TransformPlan


@pytest.fixture(params=["conjugate_invariant", "standard"])
def kit(request):
    kit = Kit(small_parameters(request.param, depth=3))
    yield kit
    kit.engine.close()


def test_ciphertexts_survive_the_wire(kit):
    x = kit.vector()
    for seeded in (True, False):
        a = kit.encrypt(x, seeded=seeded)
        data = a.serialize()
        again = kit.engine.load_ciphertext(data, level=a.level)
        assert again.serialize() == data
        kit.assert_close(kit.decrypt(again), x)


def test_seeded_is_half_of_unseeded(kit):
    seeded, full = (len(kit.encryptor.encrypt(kit.vector(), level=4, seeded=seeded)) for seeded in (True, False))
    assert full - 40 == 2 * (seeded - 40 - 32)


def test_a_secret_key_survives_its_file(kit):
    data = kit.secret.serialize()
    assert len(data) == sizes.secret_key_bytes(kit.parameters)
    again = SecretKey.load(kit.engine, data)
    assert again.serialize() == data
    x = kit.vector()
    kit.assert_close(Decryptor(kit.engine, again).decrypt(kit.encrypt(x)), x)
    back = kit.engine.load_ciphertext(Encryptor(kit.engine, again).encrypt(x, level=2), level=2)
    kit.assert_close(kit.decrypt(back), x)


def test_the_secret_is_uniform_ternary(kit):
    """Thirds of −1, 0 and 1; six standard deviations of a multinomial count are allowed."""
    codes = np.frombuffer(kit.secret.serialize()[40:], dtype=np.uint8)
    coefficients = np.stack([codes >> shift & 3 for shift in (0, 2, 4, 6)]).ravel()
    degree = kit.parameters.ring_degree
    assert len(coefficients) == degree
    counts = np.bincount(coefficients, minlength=4)
    assert counts[3] == 0
    assert np.abs(counts[:3] - degree / 3).max() < 6 * np.sqrt(degree * 2 / 9)


def test_fresh_errors_have_the_promised_width(kit):
    """σ = 3.19: slots of the error have a variance of 2N σ² (N/2 σ² in the standard ring), plus rounding."""
    x = np.zeros(kit.parameters.slots)
    errors = np.concatenate([kit.decrypt(kit.encrypt(x, 2)) for _ in range(20)]) * kit.parameters.scales[2]
    degree = kit.parameters.ring_degree
    gain = 2 * degree if kit.parameters.ring == "conjugate_invariant" else degree / 2
    assert errors.std() == pytest.approx(3.19 * np.sqrt(gain), rel=0.05)


def test_every_secret_differs(kit):
    assert KeyGenerator(kit.engine).secret_key().serialize() != kit.secret.serialize()


def test_loaded_keys_are_listed(kit):
    assert kit.engine.loaded_keys == {"relinearization_level": None, "rotations": {}, "bytes_in_memory": 0}
    kit.load_relinearization(level=3)
    assert kit.engine.load_rotation_key(kit.keys.rotation_key(kit.secret, -1, 2)) == kit.parameters.slots - 1
    kit.load_rotations(5, level=4)
    listed = kit.engine.loaded_keys
    assert listed["relinearization_level"] == 3
    assert listed["rotations"] == {5: 4, kit.parameters.slots - 1: 2}
    expected = sum(sizes.evaluation_key_memory(kit.parameters, level) for level in (3, 2, 4))
    assert listed["bytes_in_memory"] == expected - 4 * kit.parameters.ring_degree  # relinearization: no table
    kit.load_rotations(5, level=2)
    assert kit.engine.loaded_keys["rotations"][5] == 2


def workload(kit):
    """One of everything; returns a callable to repeat it."""
    kit.load_relinearization()
    kit.load_rotations(1, 2, 4)
    scale = 2.0**29
    index = np.array([(0, 0, k, b, 0) for k in range(2) for b in range(2)], dtype=np.int32)
    plan = TransformPlan(
        kit.top,
        1,
        1,
        (0, 1),
        ((0, 2),),
        index,
        np.ones((4, 16)),
        (scale,),
        scale * kit.parameters.scales[kit.top],
    )
    prepared = kit.engine.transform(plan)
    data = kit.encryptor.encrypt(np.ones(1), level=kit.top)
    plain = kit.engine.plaintext(np.ones(1), kit.top, scale)

    def evaluate():
        a = kit.engine.load_ciphertext(data, level=kit.top)
        b = kit.engine.add(kit.engine.rotate(a, 4), a)
        c = kit.engine.rescale(kit.engine.sum_of_products([(a, b), (b, b)]))
        d = kit.engine.linear_transform([a], prepared)[0]
        e = kit.engine.multiply_plain(a, plain)
        kit.engine.drop_level(c, 1)
        assert d.scale == e.scale
        return b.serialize() + c.serialize()

    return evaluate


def test_evaluating_again_and_again_takes_no_more_memory():
    kit = Kit(small_parameters(depth=6, degree=1 << 12))
    evaluate = workload(kit)
    for _ in range(20):
        evaluate()
    gc.collect()
    process = psutil.Process()
    before, native = process.memory_info().rss, kit.engine.allocated_bytes
    for _ in range(100):
        evaluate()
    gc.collect()
    grown = process.memory_info().rss - before
    # The pool may hold a few buffers more when threads overlap otherwise; a leak would grow with the runs. One
    # evaluation uses about 20 MB.
    assert kit.engine.allocated_bytes - native < 100 * 4 * kit.parameters.ring_degree
    assert grown < 20_000_000, f"grew by {grown} bytes"


def test_closing_frees_at_once():
    kit = Kit(small_parameters(depth=6, degree=1 << 12))
    plan_size = 200
    index = np.array([(0, 0, 0, 0, 0)] * plan_size, dtype=np.int32)
    scale = kit.parameters.scales[kit.top]
    plan = TransformPlan(kit.top, 1, 1, (1,), ((0,),), index, np.ones((plan_size, 4096)), (1.0,), scale)
    prepared = kit.engine.transform(plan)
    before = kit.engine.allocated_bytes
    prepared.close()
    assert before - kit.engine.allocated_bytes == prepared.bytes_in_memory


def test_threads_may_share_an_engine():
    """Four Python threads evaluate at once, while keys are replaced and objects closed under them."""
    kit = Kit(small_parameters(depth=3))
    evaluate = workload(kit)
    expected, results, stop = evaluate(), [], threading.Event()
    keys = [kit.keys.rotation_key(kit.secret, 9, kit.top) for _ in range(2)]

    def churn():
        while not stop.is_set():
            for key in keys:
                kit.engine.load_rotation_key(key)

    def repeat():
        results.extend(evaluate() for _ in range(25))

    other = threading.Thread(target=churn)
    other.start()
    workers = [threading.Thread(target=repeat) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    other.join()
    assert len(results) == 100
    assert set(results) == {expected}
