"""HE-GRU against torch's own GRU, by hand, and by what it costs. What holds for every cell stands in test_cells.py."""

import numpy as np
import pytest

from counting import totals
from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor
from heclstm.circuit.operations import SumOfProducts
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.model.cells.gru import GruConfig
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.weights import Model, expected_shapes
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=512, special_count=4, security="INSECURE_TEST")
ENCODER, PROJECTION, VOTE = 4, 1, 1  # levels: two quadratic blocks, W·s, the weighted unit and the vote


def compiled(frames, cell):
    return compile_circuit(random_model(small_config(frames=frames, cell=cell), seed=1), TEST)


@pytest.mark.parametrize(("features", "hidden", "steps"), [(3, 5, 4), (1, 1, 1), (8, 2, 7), (6, 16, 3)])
def test_the_exact_cell_is_torchs_gru(features, hidden, steps):
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.cells.gru.torch_module import HeGruCell

    torch.manual_seed(features * 100 + hidden)
    gru = torch.nn.GRU(features, hidden, batch_first=True).double()
    for parameter in gru.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    cell = HeGruCell(GruConfig(hidden).exact_twin()).double()
    cell.recurrent_weight.data.copy_(gru.weight_hh_l0)
    cell.candidate_bias.data.copy_(gru.bias_hh_l0[2 * hidden :])
    bias = gru.bias_ih_l0 + torch.cat([gru.bias_hh_l0[: 2 * hidden], torch.zeros(hidden)])
    x = torch.randn(9, steps, features, dtype=torch.float64)
    expected, _ = gru(x)
    state = torch.zeros(9, hidden, dtype=torch.float64)
    for step in range(steps):
        state, _ = cell(x[:, step] @ gru.weight_ih_l0.T + bias, state)
        torch.testing.assert_close(state, expected[:, step], atol=1e-12, rtol=0)


def test_without_a_reset_gate_it_is_torchs_gru_with_one_that_is_open():
    """r = σ(50) is 1 to 2·10⁻²²."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.cells.gru.torch_module import HeGruCell

    torch.manual_seed(0)
    gru = torch.nn.GRU(2, 3, batch_first=True).double()
    with torch.no_grad():
        gru.weight_hh_l0[:3] = gru.weight_ih_l0[:3] = 0.0
        gru.bias_ih_l0[:3] = 50.0
    cell = HeGruCell(GruConfig(3, reset_gate=False).exact_twin()).double()
    cell.recurrent_weight.data.copy_(gru.weight_hh_l0[3:])
    x = torch.randn(9, 4, 2, dtype=torch.float64)
    state = torch.zeros(9, 3, dtype=torch.float64)
    for step in range(4):
        state, _ = cell(x[:, step] @ gru.weight_ih_l0[3:].T + gru.bias_ih_l0[3:] + gru.bias_hh_l0[3:], state)
    torch.testing.assert_close(state, gru(x)[0][:, -1], atol=1e-12, rtol=0)


def test_two_steps_by_hand(run_clear):
    # Gates are their arguments. Frames 1 and 2: s = 1, 4.
    # t=0: r = 1, z = 2·1 + 1 = 3, n = 3·1 + 1·(0 + 2) = 5:            h = (1 − 3)·5 = −10
    # t=1: r = 4 − 10 = −6, z = 2·4 + 1 = 9,
    #      n = 3·4 − 6·(10 + 2) = −60:                                 h = (1 − 9)·(−60) + 9·(−10) = 390
    # y_t = (2 s + 1 + 4 h + 3) / 2:  y = −17, 786;  v·y = −4.25, 589.5
    config = ModelConfig(2, 1, 1, 1, (BlockConfig(1, (1, 1), (1, 1), (0, 0)),), GruConfig(1))
    values = {
        "blocks.0.weight": 1, "blocks.0.bias": 0, "blocks.0.coefficients": [0, 0, 1],  # s = x²
        "gru.input_weight": [[1], [2], [3]], "gru.recurrent_weight": [[1], [0], [-1]],
        "gru.bias": [0, 1, 0], "gru.candidate_bias": 2,
        "gru.gate_coefficients": [[0, 1]] * 2, "gru.candidate_coefficients": [0, 1],
        "weighted_unit.spatial_weight": 2, "weighted_unit.temporal_weight": 4,
        "weighted_unit.spatial_bias": 1, "weighted_unit.temporal_bias": 3, "weighted_unit.alpha": 0.5,
        "vote.weight": [0.25, 0.75],
    }  # fmt: skip
    shapes = expected_shapes(config)
    model = Model(config, {name: np.array(values[name], dtype=float).reshape(shapes[name]) for name in shapes})
    slots = run_clear(compile_circuit(model, TEST), np.array([1.0, 2.0]).reshape(1, 2, 1, 1, 1))[0]
    # 2^-52 for each of some ten operations on the way
    assert np.abs(slots[:3] / [589.5 - 4.25, -4.25, 589.5] - 1).max() <= 10 * 2.0**-52
    assert not slots[3:].any()


@pytest.mark.parametrize("reset_gate", [True, False])
@pytest.mark.parametrize("candidate", ["identity", "cubic"])
@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_levels(degree, candidate, reset_gate, frames):
    """r ⊙ U_n·h takes one, and the candidate comes after the reset gate; without it, gates and candidate run beside."""
    gate, curve = degree - 1, 2 if candidate == "cubic" else 0
    before = gate + curve if reset_gate else max(gate, curve)
    first, further = before + 1, 1 + before + (1 if reset_gate else 0) + 1
    program = compiled(frames, GruConfig(4, degree, candidate, reset_gate))
    depth = program.input_level - program.result_level
    assert depth == ENCODER + PROJECTION + first + further * (frames - 1) + VOTE


@pytest.mark.parametrize("frames", [2, 4, 6])
def test_it_is_never_deeper_than_the_lstm(frames):
    lstm, gru, light = (
        compiled(frames, cell).input_level for cell in (LstmConfig(4), GruConfig(4), GruConfig(4, reset_gate=False))
    )
    assert (gru, light) == (lstm - 1, lstm - 1 - (frames - 1))


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("reset_gate", [True, False])
def test_products(frames, reset_gate):
    """One for each block's square; in each step the mixture, and after the first r ⊙ (U_n·h + c)."""
    found = totals(compiled(frames, GruConfig(4, reset_gate=reset_gate)))
    assert found["products"] == found["relinearizations"] == 2 + frames + (frames - 1 if reset_gate else 0)


@pytest.mark.parametrize("candidate", ["identity", "cubic"])
@pytest.mark.parametrize("reset_gate", [True, False])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_nothing_grows_outside_of_the_frame_of_a_step(degree, reset_gate, candidate):
    """From the second step on, every product is exactly zero in the slots of all other frames, as with the LSTM."""
    program = compiled(3, GruConfig(4, degree, candidate, reset_gate))
    backend = ClearEvaluator(program.parameters.slots, program.parameters.moduli)
    frames = random_frames(small_config(frames=3), 1, seed=0)
    packed = program.input_layout.pack(frames.reshape(1, 3, -1))
    level, seen = program.input_level, set()

    def observe(operation, outputs):
        step = operation.layer.removeprefix("gru.step")
        if step in ("1", "2") and isinstance(operation, SumOfProducts):
            by_frame = outputs[0].values.reshape(-1, 4)  # frames are innermost, T' = 4
            assert not np.delete(by_frame, int(step), axis=1).any(), operation.layer
            seen.add(step)

    scale = program.parameters.scales[level]
    Executor(program, backend).run([backend.value(slots, level, scale) for slots in packed[0]], observe)
    assert seen == {"1", "2"}
