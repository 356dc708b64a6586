"""The tools of developers: what they call a drift, and that every unit of work has a price."""

import numpy as np
import pytest

from engine_kit import CpuKit, small_parameters
from heclstm.backend.execute import Executor
from heclstm.circuit.cost import UNITS
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.devtools.measure import SHAPES, TRANSFORM_UNITS, _transform, measure
from heclstm.devtools.shadow import LayerError, Shadow
from random_models import random_frames, random_model, small_config


@pytest.mark.parametrize(
    ("ratio", "drifts"), [(0.0, False), (1.0, False), (7.9, False), (8.1, True), (80.0, True), (np.nan, True)]
)
def test_eight_times_the_predicted_error_is_a_drift(ratio, drifts):
    assert LayerError("x", ratio=ratio).drifts is drifts
    assert LayerError("x", ratio=ratio).to_json()["drifts"] is drifts


@pytest.fixture(scope="module")
def ready():
    """A program with its keys, and one sequence in clear and encrypted."""
    options = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")
    circuit = compile_circuit(random_model(small_config(), 0), options)
    kit = CpuKit(circuit.parameters, steps=())
    for _, blob in kit.key_blobs(circuit):
        kit.keys.load(blob)
    frames = random_frames(small_config(), 1, 0)[0]
    packed = circuit.input_layout.pack(frames.reshape(len(frames), -1))
    yield circuit, kit, packed, Executor(circuit, kit.evaluator)
    kit.close()


def shadowed(ready, offset):
    """A run in which the shadow sees one layer's results with all slots off; returns (that layer, the shadow)."""
    circuit, kit, packed, executor = ready
    target = circuit.operations[len(circuit.operations) // 2]
    watch = Shadow(circuit, kit.context, bytes(kit.secret.serialize()), packed)

    def observe(operation, outputs):
        if operation is target:
            plain = [kit.evaluator.plaintext(np.array([offset]), out.level, out.scale) for out in outputs]
            outputs = [kit.evaluator.add_plain(out, p) for out, p in zip(outputs, plain, strict=True)]
        watch(operation, outputs)

    inputs = [kit.encrypt(slots, circuit.input_level) for slots in packed]
    executor.run(inputs, observe)
    return target.layer, watch


def test_a_right_evaluation_does_not_drift(ready):
    layer, watch = shadowed(ready, 0.0)
    assert watch.first_drift is None
    assert layer in [row.layer for row in watch.layers]
    assert all(0.1 < row.ratio < 8 for row in watch.layers)


def test_the_layer_with_an_error_of_its_own_is_named(ready):
    """Fifty times the largest predicted error of any layer, in one of them."""
    _, watch = shadowed(ready, 0.0)
    worst = max(row.predicted for row in watch.layers)
    layer, watch = shadowed(ready, 50 * worst)
    assert watch.first_drift.layer == layer
    assert watch.first_drift.error == pytest.approx(50 * worst, rel=0.2)


def test_every_unit_has_a_price():
    seen = []
    found = measure(
        small_parameters(depth=3),
        threads=1,
        levels=[2, 4],
        on_progress=lambda *done_and_total: seen.append(done_and_total),
    )
    assert found.tables.keys() == set(UNITS)
    assert all(levels == [2, 4] and min(seconds) >= 0 for levels, seconds in found.tables.values())
    assert seen == [(done, 6) for done in range(1, 7)]  # rounds
    assert found.seconds("rotate", 3) > 0


def test_shapes_tell_all_units_of_transforms_apart():
    """With as many babies in every decomposition, one price took all of what both cost."""
    works = [_transform(4, *shape, small_parameters(depth=3)).work() for shape in SHAPES]
    counts = np.array([[work[unit] for unit in TRANSFORM_UNITS] for work in works], dtype=float)
    scaled = counts / np.linalg.norm(counts, axis=1, keepdims=True)
    assert np.linalg.matrix_rank(counts) == len(TRANSFORM_UNITS)
    assert np.linalg.cond(scaled) < 100
