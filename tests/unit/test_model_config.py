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
        "cell": LstmConfig(32),
    }
    return ModelConfig(**(values | changes))


def with_cell(table):
    values = {name: value for name, value in adrenal().to_json().items() if name != "lstm"}
    return ModelConfig.from_json({**values, "cell": table})


def with_blocks(*tables):
    return ModelConfig.from_json({**adrenal().to_json(), "blocks": list(tables)})


def test_kinds_may_be_named():
    """As every kind but the first must be; what is written stays as it was before there were kinds."""
    config = adrenal()
    assert with_cell({"kind": "lstm", **config.cell.to_json()}) == config
    assert with_blocks(*({"kind": "convolution", **block.to_json()} for block in config.blocks)) == config
    assert set(config.to_json()) == {"frames", "channels", "height", "width", "blocks", "lstm", "classes"}
    assert "kind" not in config.to_json()["blocks"][0]


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
    assert (twin.cell.gate_degree, twin.cell.cell_output, twin.cell.hidden_size) == (None, "tanh", 32)


@pytest.mark.parametrize(
    "config",
    [
        adrenal(),
        adrenal(cell=LstmConfig(7, gate_degree=None, recurrent_gates=False, cell_output="tanh")),
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
        (lambda: ModelConfig.from_json({}), "expected one table, cell .* or lstm"),
        (lambda: ModelConfig.from_json({**adrenal().to_json(), "cell": {"kind": "lstm"}}), "expected one table, cell"),
        (
            lambda: with_cell({"kind": "transformer"}),
            "cell: got kind 'transformer', expected one of contracting, diagonal, gru, lstm",
        ),
        (lambda: with_cell({"hidden_size": 3}), "cell: got kind None, expected one of contracting, diagonal, gru"),
        (lambda: with_cell([]), "cell: got list, expected a table with a kind, one of contracting, diagonal"),
        (lambda: with_cell({"kind": "lstm", "size": 3}), "LstmConfig: got unknown field 'size'"),
        (lambda: with_blocks({"kind": "dense"}), "block: got kind 'dense', expected one of convolution"),
        (lambda: with_blocks({"out_channels": 4, "size": 3}), "BlockConfig: got unknown field 'size'"),
        (lambda: with_blocks(3), "BlockConfig: got int, expected a table of fields"),
        (lambda: ModelConfig.from_json({**adrenal().to_json(), "classes": 3}), "classes: got 3, expected 1: one score"),
        (lambda: ModelConfig.from_json({**adrenal().to_json(), "classes": True}), "classes: got True, expected 1"),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()
