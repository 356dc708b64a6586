"""The mean cell by its definition, by hand, and by what it costs. What holds for every cell stands in test_cells.py."""

import numpy as np
import pytest

from counting import totals
from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor
from heclstm.circuit.operations import LinearTransform, Rotate
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.mean import MeanConfig
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.reference import forward
from heclstm.model.weights import Model, expected_shapes
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")
ENCODER, PROJECTION, VOTE = 4, 1, 1  # levels: two quadratic blocks, W·m, the weighted unit and the vote


def compiled(frames, cell):
    return compile_circuit(random_model(small_config(frames=frames, cell=cell), seed=1), TEST)


def arrays_of(cell, features, seed):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, shape in cell.arrays(features).items()}


# ── what it computes ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("degree", [None, 1, 2])
@pytest.mark.parametrize(("features", "hidden", "frames"), [(3, 5, 4), (1, 1, 1), (6, 2, 9)])
def test_it_is_a_dense_layer_of_torch_on_the_means_of_beginnings(features, hidden, frames, degree):
    torch = pytest.importorskip("torch", reason="an independent reference: heclstm[train]")
    cell = MeanConfig(hidden, degree)
    arrays = arrays_of(cell, features, seed=frames)
    spatial = np.random.default_rng(1).normal(size=(7, frames, features))
    dense = torch.nn.Linear(features, hidden).double()
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(arrays["input_weight"]))
        dense.bias.copy_(torch.from_numpy(arrays["bias"]))
        beginnings = [torch.from_numpy(spatial[:, : t + 1]).mean(1) for t in range(frames)]
        expected = torch.stack([dense(each) for each in beginnings], 1)
        if degree is None:
            expected = expected.relu()
        elif degree == 2:
            c0, c1, c2 = torch.from_numpy(arrays["coefficients"].T.copy())
            expected = c0 + c1 * expected + c2 * expected**2
    np.testing.assert_allclose(cell.evaluate(arrays, spatial)["hidden"], expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2])
def test_the_last_state_does_not_ask_for_the_order_of_frames(degree):
    cell = MeanConfig(4, degree)
    arrays, spatial = arrays_of(cell, 5, seed=0), np.random.default_rng(1).normal(size=(3, 6, 5))
    shuffled = spatial[:, np.random.default_rng(2).permutation(6)]
    first, second = (cell.evaluate(arrays, each)["hidden"] for each in (spatial, shuffled))
    np.testing.assert_allclose(first[:, -1], second[:, -1], atol=1e-12)
    assert np.abs(first[:, 0] - second[:, 0]).max() > 0.1


def test_two_frames_by_hand(run_clear):
    # s = 1, 4; m = 1, 2.5; W m + b = 3, 6;  h = 2 + x − x²/2 = 0.5, −10
    # y_t = (2 s + 1 + 4 h + 3) / 2 = 4, −14;  v·y = 1, −10.5
    config = ModelConfig(2, 1, 1, 1, (BlockConfig(1, (1, 1), (1, 1), (0, 0)),), MeanConfig(1))
    values = {
        "blocks.0.weight": 1, "blocks.0.bias": 0, "blocks.0.coefficients": [0, 0, 1],  # s = x²
        "mean.input_weight": 2, "mean.bias": 1, "mean.coefficients": [2, 1, -0.5],
        "weighted_unit.spatial_weight": 2, "weighted_unit.temporal_weight": 4,
        "weighted_unit.spatial_bias": 1, "weighted_unit.temporal_bias": 3, "weighted_unit.alpha": 0.5,
        "vote.weight": [0.25, 0.75],
    }  # fmt: skip
    shapes = expected_shapes(config)
    model = Model(config, {name: np.array(values[name], dtype=float).reshape(shapes[name]) for name in shapes})
    slots = run_clear(compile_circuit(model, TEST), np.array([1.0, 2.0]).reshape(1, 2, 1, 1, 1))[0]
    # 2^-52 for each of some ten operations on the way, of values up to 18
    assert np.abs(slots[:3] - [-9.5, 1, -10.5]).max() <= 10 * 18 * 2.0**-52
    assert not slots[3:].any()


@pytest.mark.parametrize("seed", range(3))
def test_any_quadratic_is_compiled(seed, run_clear):
    """Squares that are zero, negative, or too small to be completed: by Horner's rule then, at the same level."""
    model = random_model(small_config(cell=MeanConfig(4)), seed)
    coefficients = np.array([[0.1, 0.4, 0.0], [0.2, -1.0, -0.3], [0.0, 2.0, 0.01], [0.3, 0.0, 0.5]])
    model = Model(model.config, {**model.arrays, "mean.coefficients": coefficients})
    frames, program = random_frames(model.config, 2, seed), compile_circuit(model, TEST)
    expected = forward(model, frames)
    wanted = np.concatenate([expected["score"], expected["contributions"].reshape(2, -1)], axis=1)
    assert np.abs(run_clear(program, frames)[:, : wanted.shape[1]] - wanted).max() <= 1e-9
    assert depth(program) == ENCODER + PROJECTION + 1 + VOTE


def test_a_linear_one_is_the_diagonal_cell_at_rate_zero():
    """So whoever wants a mean that training may leave takes that one."""
    mean, diagonal = MeanConfig(3, 1), DiagonalConfig(3)
    arrays, spatial = arrays_of(mean, 4, seed=0), np.random.default_rng(1).normal(size=(2, 5, 4))
    found = diagonal.evaluate({**arrays, "rate": np.zeros(3)}, spatial)["hidden"]
    np.testing.assert_allclose(mean.evaluate(arrays, spatial)["hidden"], found, atol=1e-12)


# ── what it costs ──────────────────────────────────────────────────────────────────────────────────────────


def depth(program):
    return program.input_level - program.result_level


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("degree", [1, 2])
def test_levels_and_products(frames, degree):
    """A square for each block and, of degree 2, one for all frames together."""
    program = compiled(frames, MeanConfig(4, degree))
    assert depth(program) == ENCODER + PROJECTION + degree - 1 + VOTE
    found = totals(program)
    assert found["products"] == found["relinearizations"] == 2 + degree - 1
    assert found["linear_transforms"] == 2 + 3  # the convolutions, the projection, the weighted unit and the vote


def test_a_linear_one_costs_what_the_diagonal_cell_costs():
    assert totals(compiled(5, MeanConfig(4, 1))) == totals(compiled(5, DiagonalConfig(4)))


@pytest.mark.parametrize("frames", [1, 2, 4, 8])
def test_the_map_of_all_frames_has_no_more_diagonals_than_its_output_has_slots(frames):
    """H · T' for all frames together; one for each unit where every frame is read by itself."""

    def diagonals(degree):
        mine = [op for op in compiled(frames, MeanConfig(4, degree)).operations if op.layer == "mean.projection"]
        return next(len(op.plan.vectors) for op in mine if isinstance(op, LinearTransform))

    assert diagonals(1) == 4
    assert 4 * frames - 1 <= diagonals(2) <= 4 * frames


def test_slots_behind_the_frames_stay_empty():
    """Three frames take T' = 4 places; nothing is written in the fourth, which no activation then makes grow."""
    program = compiled(3, MeanConfig(4))
    backend = ClearEvaluator(program.parameters.slots, program.parameters.moduli)
    frames = random_frames(small_config(frames=3), 1, seed=0)
    packed = program.input_layout.pack(frames.reshape(1, 3, -1))
    level, seen = program.input_level, 0

    def observe(operation, outputs):
        nonlocal seen
        turned = isinstance(operation, Rotate)  # an input of the projection, by a coarse step
        if operation.layer.startswith("mean.") and not turned:
            for output in outputs:
                assert not output.values.reshape(-1, 4)[:, 3].any(), operation.layer
                seen += 1

    scale = program.parameters.scales[level]
    Executor(program, backend).run([backend.value(slots, level, scale) for slots in packed[0]], observe)
    assert seen > 2
