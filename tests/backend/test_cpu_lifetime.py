"""Memory and threads of the CPU backend."""

import gc
import threading

import numpy as np
import psutil
import pytest

from engine_kit import CpuKit, small_parameters
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.keyset import KeySet
from heclstm.circuit.operations import TransformPlan
from laws import LEVEL, make_plan


def workload(kit):
    """One of everything; returns a callable to repeat it."""
    scale = 2.0**29
    index = np.array([(0, 0, k, b, 0) for k in range(2) for b in range(2)], dtype=np.int32)
    output_scale = scale * kit.parameters.scales[kit.top]
    plan = TransformPlan(kit.top, 1, 1, (0, 1), ((0, 2),), index, np.ones((4, 16)), (scale,), output_scale)
    prepared = kit.context.transform(plan)
    data = kit.encryptor.encrypt(np.ones(1), level=kit.top)
    plain = kit.context.plaintext(np.ones(1), kit.top, scale)
    ev = kit.evaluator

    def evaluate():
        a = kit.context.load_ciphertext(data, level=kit.top)
        b = ev.add(ev.rotate(a, 4), a)
        c = ev.rescale(ev.sum_of_products([(a, b), (b, b)]))
        d = ev.linear_transform([a], prepared)[0]
        e = ev.multiply_plain(a, plain)
        ev.drop_level(c, 1)
        assert d.scale == e.scale
        return b.serialize() + c.serialize()

    return evaluate


def test_evaluating_again_and_again_takes_no_more_memory():
    kit = CpuKit(small_parameters(depth=6, degree=1 << 12), steps=(1, 2, 4))
    evaluate = workload(kit)
    for _ in range(20):
        evaluate()
    gc.collect()
    process = psutil.Process()
    before, native = process.memory_info().rss, kit.context.allocated_bytes
    for _ in range(100):
        evaluate()
    gc.collect()
    grown = process.memory_info().rss - before
    # The pool may hold a few buffers more when threads overlap otherwise; a leak would grow with the runs. One
    # evaluation uses about 20 MB.
    assert kit.context.allocated_bytes - native < 100 * 4 * kit.parameters.ring_degree
    assert grown < 20_000_000, f"grew by {grown} bytes"
    kit.close()


def test_errors_leave_nothing_behind():
    """A call that is refused after it took memory; panics are tried in native/call_test.go."""
    kit = CpuKit(small_parameters(depth=3), steps=())
    good = kit.encryptor.encrypt(np.ones(1), level=kit.top)
    bad = good[:-64] + b"\xff" * 64  # the last limb's residues, when all others are read
    kit.context.load_ciphertext(good, level=kit.top).close()
    before = kit.context.allocated_bytes
    for _ in range(50):
        with pytest.raises(Exception, match="is not below its prime"):
            kit.context.load_ciphertext(bad, level=kit.top)
    assert kit.context.allocated_bytes == before
    kit.close()


def test_closing_frees_at_once():
    kit = CpuKit(small_parameters(depth=6, degree=1 << 12), steps=())
    plan_size, scale = 200, kit.parameters.scales[kit.top]
    index = np.array([(0, 0, 0, 0, 0)] * plan_size, dtype=np.int32)
    plan = TransformPlan(kit.top, 1, 1, (1,), ((0,),), index, np.ones((plan_size, 4096)), (1.0,), scale)
    prepared = kit.context.transform(plan)
    before = kit.context.allocated_bytes
    prepared.close()
    assert before - kit.context.allocated_bytes == prepared.bytes_in_memory
    keys = KeySet(kit.context)
    kit.load_rotations(1, keys=keys)
    size, before = keys.bytes_in_memory, kit.context.allocated_bytes
    keys.close()
    assert before - kit.context.allocated_bytes == size
    kit.close()


def test_a_context_gives_everything_back():
    """Whatever the order in which it and its objects are closed."""
    with Context(small_parameters(depth=2, degree=64)) as watcher:
        before = watcher.allocated_bytes
        kit = CpuKit(small_parameters(depth=3), steps=(1, 2, 4))
        workload(kit)()
        survivor, keys = kit.encrypt(np.ones(1)), kit.keys
        kit.context.close()
        assert watcher.allocated_bytes > before
        survivor.close()
        keys.close()
        kit.secret.close()
        gc.collect()  # the workload's transform and plaintext
        assert watcher.allocated_bytes == before


def test_threads_may_share_a_context():
    """Four Python threads evaluate at once, while key sets are made and closed beside them."""
    kit = CpuKit(small_parameters(depth=3), steps=(1, 2, 4))
    evaluate = workload(kit)
    expected, results, stop = evaluate(), [], threading.Event()
    blob = kit.generator.rotation_key(kit.secret, 9, kit.top)

    def churn():
        while not stop.is_set():
            keys = KeySet(kit.context)
            keys.load(blob)
            keys.close()

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
    kit.close()


@pytest.mark.parametrize("ring", ["conjugate_invariant", "standard"])
def test_results_do_not_depend_on_the_number_of_threads(ring):
    kit = CpuKit(small_parameters(ring, depth=5), steps=(2, 3, 1, 4, 8))
    rows = [(o, c, k, b, j) for o in range(2) for c in range(2) for k in range(2) for b in range(3) for j in range(2)]
    plan = make_plan(kit.parameters, kit.random, rows, (0, 2, 3), ((0, 4), (1, 9)), 2, 2)
    inputs = [kit.encrypt(kit.vector(), LEVEL) for _ in range(2)]
    seen = set()
    for threads in (1, 2, 3, 8):
        kit.context.set_threads(threads)
        results = kit.evaluator.linear_transform(inputs, kit.context.transform(plan))
        seen.add(tuple(kit.evaluator.rescale(result).serialize() for result in results))
    assert len(seen) == 1
    kit.close()


# what plaintexts take


def test_a_short_plaintext_takes_less_memory():
    with Context(small_parameters()) as context:
        long, short = (context.plaintext(np.ones(period), 4, 2.0**29) for period in (512, 32))
        assert long.bytes_in_memory == 16 * short.bytes_in_memory


def test_without_rotations_no_special_primes_are_stored():
    parameters, rows = small_parameters(), [(0, 0, 0, 0, 0), (1, 0, 0, 0, 1), (0, 0, 0, 0, 1)]
    with Context(parameters) as context:
        plan = make_plan(parameters, np.random.default_rng(0), rows, n_inputs=2, n_outputs=2)
        assert context.transform(plan).bytes_in_memory == 3 * (LEVEL + 1) * 4 * parameters.ring_degree


def test_a_compact_transform_takes_a_word_a_coefficient():
    """Instead of one for every limb of QP; where one does not fit into it, the transform is not compact."""
    parameters, rows = small_parameters(depth=6), [(0, 0, 0, baby, 0) for baby in range(3)]
    plan = make_plan(parameters, np.random.default_rng(0), rows, (0, 1, 2), period=256, level=parameters.max_level)
    sizes = {}
    for compact in (False, True):
        with Context(parameters, compact=compact) as context:
            sizes[compact] = context.transform(plan).bytes_in_memory
    limbs = parameters.max_level + 1 + len(parameters.special_moduli)
    assert sizes[False] == 3 * 256 * 4 * limbs
    assert sizes[True] == 3 * 256 * 4
    vars(plan)["plaintext_scales"] = (2.0**70,)
    with Context(parameters, compact=True) as context:
        assert context.transform(plan).bytes_in_memory == sizes[False]
