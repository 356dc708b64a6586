"""Whole programs on every backend, by the contract alone: prepare, load_keys, load, evaluate, store."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from engine_kit import KITS, SimulatedKit
from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor, effort
from heclstm.backend.registry import BACKENDS, backend
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import Cancelled, FileFormatError, LayoutError, ParameterError
from random_models import random_frames, random_model, small_config

SEQUENCES = 6  # encrypted one by one, so that there are enough results to judge an error by
RINGS = ("conjugate_invariant", "standard")


@cache
def program(ring, gate_degree=1):
    """A small network, and packed sequences for it: (sequences, ciphertexts, slots)."""
    config = small_config(lstm={"gate_degree": gate_degree})
    options = Options(ring=ring, ring_degree=2048, security="INSECURE_TEST", special_count=4)
    circuit = compile_circuit(random_model(config, 0), options)
    frames = random_frames(config, SEQUENCES, 0).reshape(SEQUENCES, config.frames, -1)
    return circuit, circuit.input_layout.pack(frames)


def results_of(circuit, slots):
    return circuit.result_layout.unpack(np.atleast_2d(slots)[:, None, :])[:, 0]


def clear_results(circuit, packed, evaluator=None):
    parameters, level = circuit.parameters, circuit.input_level
    evaluator = evaluator or ClearEvaluator(parameters.slots, parameters.moduli, parameters.scales)
    inputs = [evaluator.value(packed[:, i], level, parameters.scales[level]) for i in range(packed.shape[1])]
    return results_of(circuit, Executor(circuit, evaluator).run(inputs).values)


@cache
def predicted(ring):
    """(results in clear, errors of eight simulated runs)."""
    circuit, packed = program(ring)
    clear = clear_results(circuit, packed)
    kits = [SimulatedKit(circuit.parameters, seed=seed) for seed in range(8)]
    return clear, np.stack([clear_results(circuit, packed, kit.evaluator) - clear for kit in kits])


@pytest.fixture(scope="module", params=[f"{name}, {ring}" for name in KITS for ring in RINGS])
def running(request):
    """(kit, circuit, packed, prepared, keys, encrypt, read)"""
    name, ring = request.param.split(", ")
    circuit, packed = program(ring)
    kit = KITS[name](circuit.parameters, steps=())
    prepared = kit.prepare(circuit)
    keys, encrypt, read = kit.tenant(prepared)
    yield kit, circuit, packed, prepared, keys, encrypt, read
    keys.close()
    prepared.close()
    kit.close()


def test_a_program_gives_its_clear_result(running):
    """Errors of a whole program: those of the same program simulated, within what so few results can tell."""
    kit, circuit, packed, prepared, keys, encrypt, read = running
    found = []
    for sequence in packed:
        blob = prepared.store(prepared.evaluate(prepared.load(encrypt(sequence)), keys))
        found.append(results_of(circuit, read(blob))[0])
    assert kit.parameters == circuit.parameters
    clear, simulated = predicted(circuit.parameters.ring)
    errors = np.array(found) - clear
    if kit.exact:
        assert np.abs(errors).max() < 1e-9
        return
    ratio = np.sqrt((errors**2).mean() / (simulated**2).mean())
    # The results of one sequence share the errors of all layers before, so that each sequence counts as one draw of
    # them: six standard deviations of a root mean square of SEQUENCES squares.
    assert ratio < 1 + 6 / np.sqrt(2 * SEQUENCES), f"errors are {ratio:.2f} times the predicted ones"
    assert ratio > 0.2


def test_progress_rises_and_ends_at_all(running):
    _, circuit, packed, prepared, keys, encrypt, _ = running
    seen, layers = [], []
    inputs = prepared.load(encrypt(packed[0]))
    prepared.evaluate(
        inputs,
        keys,
        on_progress=lambda done, total: seen.append((done, total)),
        observe=lambda operation, outputs: layers.append((operation, len(outputs))),
    )
    done, totals = zip(*seen, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert done[-1] == totals[0] == sum(map(effort, circuit.operations))
    assert [operation for operation, _ in layers] == list(prepared.circuit.operations)
    assert [(type(each), each.layer) for each, _ in layers] == [(type(each), each.layer) for each in circuit.operations]
    assert [count for _, count in layers] == [len(operation.outputs) for operation in circuit.operations]


@pytest.mark.parametrize("kind", ["callable", "event"])
def test_cancelling_stops_between_two_operations(running, kind):
    _, circuit, packed, prepared, keys, encrypt, _ = running
    event, seen = threading.Event(), []

    def observe(operation, _):
        seen.append(operation)
        if len(seen) == 5:
            event.set()

    cancel = event if kind == "event" else event.is_set
    inputs = prepared.load(encrypt(packed[0]))
    with pytest.raises(Cancelled, match=f"{circuit.operations[5].layer}: the evaluation was cancelled"):
        prepared.evaluate(inputs, keys, observe=observe, cancel=cancel)
    assert len(seen) == 5
    again = prepared.evaluate(prepared.load(encrypt(packed[0])), keys, cancel=threading.Event())
    assert prepared.store(again)


def test_queries_that_do_not_fit(running):
    _, _, packed, prepared, _, encrypt, _ = running
    blobs = encrypt(packed[0])
    with pytest.raises(LayoutError, match=rf"load: got {len(blobs) + 1} ciphertexts, expected {len(blobs)}"):
        prepared.load([*blobs, blobs[0]])
    with pytest.raises(FileFormatError, match=r"ciphertext: got \d+ bytes"):
        prepared.load([blobs[0][:-1], *blobs[1:]])


def test_two_key_sets_at_once(running):
    """Two tenants of one program, on two threads at once: each reads what he reads alone."""
    kit, circuit, packed, prepared, keys, encrypt, read = running
    tenants = [(keys, encrypt, read), kit.tenant(prepared)]
    queries = [encrypt(packed[i]) for i, (_, encrypt, _) in enumerate(tenants)]

    def evaluate(i):
        return prepared.store(prepared.evaluate(prepared.load(queries[i]), tenants[i][0]))

    alone = [evaluate(i) for i in range(2)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(evaluate, [0, 1] * 4))
    if kit.repeats:
        assert together == alone * 4
    clear = clear_results(circuit, packed)
    for i, blob in enumerate(together):
        found = results_of(circuit, tenants[i % 2][2](blob))[0]
        assert np.abs(found - clear[i % 2]).max() < 0.01  # of results near 1; how near is tested above
    tenants[1][0].close()


def test_threads_change_nothing(running):
    """An evaluation gives the same bytes again, and with any number of threads."""
    kit, circuit, packed, prepared, keys, encrypt, _ = running
    if not kit.repeats:
        pytest.skip("the simulator draws its noise anew")
    query = encrypt(packed[0])
    seen = {prepared.store(prepared.evaluate(prepared.load(query), keys)) for _ in range(2)}
    if hasattr(prepared, "context"):
        for threads in (1, 3, 8):
            prepared.context.set_threads(threads)
            seen.add(prepared.store(prepared.evaluate(prepared.load(query), keys)))
        prepared.context.set_threads(2)
    assert len(seen) == 1


@pytest.mark.parametrize("name", BACKENDS)
def test_two_programs_at_once(name):
    """In one process, evaluated in turn: neither notices the other."""
    found = {}
    for order in ((RINGS[0], RINGS[1]), (RINGS[1],)):
        running = {ring: KITS_BY_BACKEND[name](program(ring)[0].parameters, steps=()) for ring in order}
        ready = {ring: kit.prepare(program(ring)[0]) for ring, kit in running.items()}
        tenants = {ring: kit.tenant(ready[ring]) for ring, kit in running.items()}
        for ring, prepared in ready.items():
            circuit, packed = program(ring)
            keys, encrypt, read = tenants[ring]
            value = prepared.evaluate(prepared.load(encrypt(packed[0])), keys)
            found.setdefault(ring, []).append(results_of(circuit, read(prepared.store(value)))[0])
        for ring, prepared in ready.items():
            tenants[ring][0].close()
            prepared.close()
        for kit in running.values():
            kit.close()
    both, alone = found[RINGS[1]]
    clear = clear_results(*program(RINGS[1]))[0]
    assert np.abs(both - clear).max() < 0.01  # of results near 1; how near is tested above
    assert np.abs(alone - clear).max() < 0.01


KITS_BY_BACKEND = {"clear": KITS["clear"], "simulate": KITS["simulate"], "cpu": KITS["cpu-portable"]}


def test_backends_by_name():
    assert set(BACKENDS) == set(KITS_BY_BACKEND)
    for name in BACKENDS:
        assert callable(backend(name).prepare)
    with pytest.raises(ParameterError, match="backend: got 'gpu', expected one of clear, simulate, cpu"):
        backend("gpu")
