"""Gates that are projected into one ciphertext, and feature maps that stand further on."""

import numpy as np
import pytest

from heclstm.circuit.layout import ImageLayout
from heclstm.circuit.operations import LinearTransform
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.compiler.displaced import Displaced, displaced
from heclstm.compiler.fuse import fuse
from heclstm.compiler.kernels.together import Together
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from random_models import random_frames, random_model, small_config

OPTIONS = Options(ring_degree=512, security="INSECURE_TEST")


def projection(circuit):
    return next(op for op in circuit.operations if isinstance(op, LinearTransform) and op.layer == "lstm.projection")


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("units", [3, 4])
def test_gates_in_one_ciphertext_compute_the_same(frames, units, run_clear, monkeypatch):
    """As four projections; units that are no power of two leave slots empty."""
    config = small_config(frames=frames, lstm={"hidden_size": units})
    model, images = random_model(config, seed=1), random_frames(config, 2, seed=3)
    together = compile_circuit(model, OPTIONS)
    monkeypatch.setattr(Together, "pays", lambda *_: False)
    apart = compile_circuit(model, OPTIONS)
    assert (len(projection(together).outputs), len(projection(apart).outputs)) == (1, 4)
    assert len(projection(together).plan.folds) == len(projection(apart).plan.folds) - 2
    assert together.input_level == apart.input_level
    assert np.abs(run_clear(together, images) - run_clear(apart, images)).max() <= 1e-9


@pytest.mark.parametrize("lstm", [{"gate_degree": 2}, {"cell_output": "cubic"}, {"recurrent_gates": False}])
def test_gates_of_other_kinds_stay_apart(lstm):
    circuit = compile_circuit(random_model(small_config(frames=3, lstm=lstm), seed=1), OPTIONS)
    assert len(projection(circuit).outputs) > 1


def test_what_stands_further_on_goes_around_the_period():
    layout = ImageLayout(64, 1, 2, 2, 2, 4, 4)
    moved = Displaced(64, 1, 2, 2, 2, 4, 4, cells_on=5)
    tensor = np.arange(1.0, 9.0).reshape(1, 8)
    assert np.array_equal(moved.pack(tensor), np.roll(layout.pack(tensor), 5, axis=-1))
    assert np.array_equal(moved.unpack(moved.pack(tensor)), tensor)


def test_all_steps_beside_whole_channels_go_back():
    """A convolution of three taps reads before and behind; its output stands as far on as it reads behind."""
    config = ModelConfig(2, 1, 8, 8, (BlockConfig(1, stride=(1, 1)),), LstmConfig(4))
    fused = fuse(random_model(config, seed=0))
    layout = ImageLayout(512, 2, 1, 8, 8, 8, 8)
    first, second = displaced(fused, [layout, layout])
    assert first is layout
    assert isinstance(second, Displaced)
    assert second.cells_on == 9
    entries = fused.stages[0].affine.matrix.tocoo()
    steps = (layout.positions[entries.col] - second.positions[entries.row] + 40) % 64 - 40
    assert sorted({*steps.tolist()}) == [-18, -17, -16, -10, -9, -8, -2, -1, 0]
