"""Configurations: what they compute, what they refuse, and that JSON brings them back."""

import json

import pytest

from heclstm.errors import ModelError
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig


def adrenal(**changes):
    values = {
        "frames": 4,
        "channels": 8,
        "height": 32,
        "width": 32,
        "blocks": tuple(BlockConfig(channels) for channels in (16, 32, 64)),
        "lstm": LstmConfig(32),
    }
    return ModelConfig(**(values | changes))


def test_sizes_follow_from_kernel_stride_padding_and_pool():
    assert adrenal().sizes == ((16, 16), (8, 8), (4, 4))
    assert adrenal().features == 64
    assert [adrenal().in_channels(k) for k in range(3)] == [8, 16, 32]
    block = BlockConfig(4, kernel=(5, 3), stride=(1, 2), padding=(0, 1), pool=(3, 2))
    assert block.convolved(32, 32) == (28, 16)
    assert block.output(32, 32) == (9, 8)


def test_the_exact_twin_has_no_polynomial_left():
    twin = adrenal().exact_twin()
    assert twin.sizes == adrenal().sizes
    assert [block.activation_degree for block in twin.blocks] == [None, None, None]
    assert (twin.lstm.gate_degree, twin.lstm.cell_output, twin.lstm.hidden_size) == (None, "tanh", 32)


@pytest.mark.parametrize(
    "config",
    [
        adrenal(),
        adrenal(classes=3, lstm=LstmConfig(7, gate_degree=None, recurrent_gates=False, cell_output="tanh")),
        adrenal(blocks=(BlockConfig(4, (1, 2), (2, 1), (0, 0), None, (2, 2)),)),
    ],
)
def test_json_brings_a_configuration_back(config):
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BlockConfig(0), r"BlockConfig.out_channels: got 0, expected a whole number of at least 1"),
        (lambda: BlockConfig(out_channels=True), r"BlockConfig.out_channels: got True"),
        (lambda: BlockConfig(4, kernel=(3,)), r"BlockConfig.kernel: got \(3,\), expected two whole numbers"),
        (lambda: BlockConfig(4, stride=(0, 1)), r"BlockConfig.stride: got 0, expected .* at least 1"),
        (lambda: BlockConfig(4, padding=(0, -1)), r"BlockConfig.padding: got -1, expected .* at least 0"),
        (lambda: BlockConfig(4, pool=(2.0, 2)), r"BlockConfig.pool: got 2.0"),
        (lambda: BlockConfig(4, activation_degree=1), r"activation_degree: got 1, expected one of None, 2, 3"),
        (lambda: LstmConfig(8, gate_degree=4), r"LstmConfig.gate_degree: got 4, expected one of None, 1, 2, 3"),
        (lambda: LstmConfig(8, recurrent_gates=1), r"LstmConfig.recurrent_gates: got 1"),
        (
            lambda: LstmConfig(8, cell_output="relu"),
            r"cell_output: got 'relu', expected one of 'identity', 'cubic'",
        ),
        (lambda: adrenal(frames=0), r"ModelConfig.frames: got 0"),
        (lambda: adrenal(blocks=()), r"ModelConfig.blocks: got 0 blocks, expected at least 1"),
        (
            lambda: adrenal(height=1, blocks=(BlockConfig(4, padding=(0, 0)),)),
            r"blocks\[0\]: got an input of 1×32",
        ),
        (
            lambda: ModelConfig.from_json({**adrenal().to_json(), "layers": 2}),
            r"unknown field 'layers', expected",
        ),
        (
            lambda: ModelConfig.from_json({**adrenal().to_json(), "blocks": 3}),
            r"blocks: got int, expected a list",
        ),
        (lambda: ModelConfig.from_json({**adrenal().to_json(), "lstm": None}), r"LstmConfig: got NoneType"),
        (lambda: ModelConfig.from_json({"lstm": {}}), r"LstmConfig: missing 1 required .* 'hidden_size'"),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()
