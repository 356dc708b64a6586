"""The torch network against torch's own LSTM, and against the NumPy reference on its exported arrays."""

import numpy as np
import pytest
import torch

from heclstm.errors import ModelError
from heclstm.model.cells.lstm.torch_module import HeLstmCell
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.reference import forward
from heclstm.model.train.layers import SMALLEST_SQUARE, PolynomialActivation
from heclstm.model.train.network import HeClstm, export
from heclstm.model.weights import load_model, save_model


def randomize(network, seed):
    """Random weights and running statistics, none of them constant, so that a swapped axis or gate shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype) + 0.5)
    return network.eval()


@pytest.mark.parametrize(("features", "hidden", "steps"), [(3, 5, 4), (1, 1, 1), (8, 2, 7), (6, 16, 3)])
def test_the_exact_cell_is_torchs_lstm(features, hidden, steps):
    torch.manual_seed(features * 100 + hidden)
    lstm = torch.nn.LSTM(features, hidden, batch_first=True).double()
    cell = HeLstmCell(LstmConfig(hidden, gate_degree=None, cell_output="tanh")).double()
    for parameter in lstm.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    cell.recurrent_weight.data.copy_(lstm.weight_hh_l0)
    x = torch.randn(9, steps, features, dtype=torch.float64)
    expected, (_, expected_cell) = lstm(x)
    hidden_state = cell_state = torch.zeros(9, hidden, dtype=torch.float64)
    for step in range(steps):
        projected = x[:, step] @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
        hidden_state, cell_state, _ = cell(projected, hidden_state, cell_state)
        torch.testing.assert_close(hidden_state, expected[:, step], atol=1e-12, rtol=0)
    torch.testing.assert_close(cell_state, expected_cell[0], atol=1e-12, rtol=0)


NETWORKS = {
    "linear gates": ModelConfig(4, 8, 16, 16, (BlockConfig(4), BlockConfig(6)), LstmConfig(5)),
    "quadratic gates": ModelConfig(
        2, 3, 12, 9, (BlockConfig(5, (5, 3), (1, 2), (0, 1)),), LstmConfig(3, 2)
    ),
    "cubic everything": ModelConfig(
        3, 1, 16, 20,
        (BlockConfig(4, (3, 3), (1, 1), (1, 1), 3, (2, 3)), BlockConfig(3, (2, 1), (1, 1), (1, 0), 3)),
        LstmConfig(4, 3, cell_output="cubic"),
    ),
    "gates from the frame": ModelConfig(
        5, 2, 8, 8, (BlockConfig(4),), LstmConfig(6, 2, recurrent_gates=False)
    ),
    "exact twin": ModelConfig(
        3, 2, 8, 8,
        (BlockConfig(4, activation_degree=None, pool=(2, 2)),),
        LstmConfig(6, None, cell_output="tanh"),
    ),
    "exact gates, identity": ModelConfig(1, 1, 5, 5, (BlockConfig(2),), LstmConfig(3, None)),
}  # fmt: skip


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_network_and_reference_agree_in_every_value(config):
    network = randomize(HeClstm(config).double(), seed=11)
    frames = torch.rand(19, config.frames, config.channels, config.height, config.width, dtype=torch.float64)
    with torch.no_grad():
        values = network.values(frames)
    reference = forward(export(network), frames.numpy())
    assert set(values) == set(reference)
    for name, value in reference.items():
        np.testing.assert_allclose(values[name].numpy(), value, atol=1e-9, rtol=0, err_msg=name)
    assert np.ptp(reference["score"]) > 1e-4


def test_an_exported_network_survives_its_files(tmp_path):
    model = export(randomize(HeClstm(NETWORKS["linear gates"]), seed=3), {"note": 1})
    save_model(model, tmp_path)
    assert load_model(tmp_path).digest == model.digest


def test_squares_never_vanish():
    activation = PolynomialActivation(3)
    activation.raw.data[:, 2] = torch.tensor([-1.0, 0.0, 0.3])
    assert activation.coefficients[:, 2].tolist() == pytest.approx([SMALLEST_SQUARE, SMALLEST_SQUARE, 0.3])
    activation.constrain()
    assert activation.raw[:, 2].tolist() == pytest.approx([SMALLEST_SQUARE, SMALLEST_SQUARE, 0.3])
    activation(torch.ones(1, 3, 1, 1)).sum().backward()
    assert activation.raw.grad[:, 2].tolist() == [1.0, 1.0, 1.0]  # the gradient is alive at the border


def test_blending_goes_from_relu_to_the_polynomial():
    activation = PolynomialActivation(1)
    x = torch.tensor([-2.0, 0.0, 3.0]).reshape(1, 1, 1, 3)
    polynomial = activation(x)
    activation.blend = 0.0
    torch.testing.assert_close(activation(x), x.relu())
    activation.blend = 0.25
    torch.testing.assert_close(activation(x), 0.75 * x.relu() + 0.25 * polynomial)


def test_a_blended_network_is_not_exported():
    network = HeClstm(NETWORKS["linear gates"])
    network.blend(0.5, 1.0)
    with pytest.raises(ModelError, match=r"still blended with exact functions, expected blend\(1, 1\)"):
        export(network)


def test_frames_without_recurrence_start_with_spread_forget_gates():
    lstm = HeClstm(NETWORKS["gates from the frame"]).lstm
    assert lstm.normalization.bias[6:12].tolist() == pytest.approx(np.linspace(-2, 2, 6).tolist())
    assert lstm.cell.recurrent_weight is None
