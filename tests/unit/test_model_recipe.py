"""Training files: the shipped one, JSON and back, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from heclstm.errors import FileFormatError, ModelError
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.recipe import RangeBounds, TrainConfig

SHIPPED = Path(__file__).parents[2] / "examples" / "adrenal" / "train.toml"


def test_the_shipped_training_file_is_readable():
    config = TrainConfig.from_toml(SHIPPED)
    assert config.model.sizes == ((16, 16), (8, 8), (4, 4))
    assert config.preparation.cut == (4, 7, 28, 28)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def _edited(tmp_path, old, new):
    text = SHIPPED.read_text("utf-8")
    assert old in text
    path = tmp_path / "train.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def test_the_word_exact_stands_for_no_polynomial(tmp_path):
    config = TrainConfig.from_toml(_edited(tmp_path, "gate_degree = 1", 'gate_degree = "exact"'))
    assert config.model.cell.gate_degree is None


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (
            "[model]\nframes = 4",
            "[model]\nframes = 5",
            ModelError,
            r"preparation makes \(4, 8.*model takes \(5, 8",
        ),
        ("epochs =", "epoch =", ModelError, "optimization: got unknown field 'epoch'"),
        ("batch_size = 64", "batch_size = 1", ModelError, "optimization.batch_size: got 1"),
        ("warm_up = 0.1", "warm_up = 1.0", ModelError, "optimization.warm_up: got 1.0"),
        ("learning_rate = ", "learning_rate = -", ModelError, "optimization.learning_rate: got -"),
        (
            "gate_span = [0.1, 0.4]",
            "gate_span = [0.1, 0.9]",
            ModelError,
            r"optimization.gate_span: got \(0.1, 0.9\)",
        ),
        ("wanted_sensitivity", "sensitivity", ModelError, "training file: got unknown field 'sensitivity'"),
        ('dataset = "medmnist3d"', "", ModelError, "training file: 'dataset' is missing"),
        ("seed = 10", "seed = -1", ModelError, "training file.seed: got -1"),
        ("wanted_sensitivity = 0.95", "wanted_sensitivity = 95", ModelError, "wanted_sensitivity: got 95"),
        (
            "axes = [0, 1, 2]\nflip_axes = [0, 1, 2]",
            "axes = [0, 5]",
            ModelError,
            r"augmentation.axes: got \(0, 5\), expected",
        ),
        (
            'dataset = "medmnist3d"',
            'dataset = "mednist"\ndata = {folds = 2}',
            ModelError,
            "got 'mednist', expected one",
        ),
        ("teachers = 3", "teachers = -1", ModelError, "distillation.teachers: got -1"),
        ("weight = 0.7", "weight = 2", ModelError, "distillation.weight: got 2"),
        (
            "convolution = 4.0",
            "convolutions = 4.0",
            ModelError,
            "got unknown field 'convolutions', expected .*cell, mean",
        ),
        ("gates = 3.0", "gates = -3.0", ModelError, "ranges.gates: got -3.0, expected a bound above 0"),
        ("[ranges]", "[ranges", FileFormatError, "is no TOML .*line"),
    ],
)
def test_wrong_training_files_are_refused(tmp_path, old, new, error, message):
    with pytest.raises(error, match=message):
        TrainConfig.from_toml(_edited(tmp_path, old, new))


def test_more_than_one_score_is_not_trained():
    values = TrainConfig.from_toml(SHIPPED).to_json()
    values["model"]["classes"] = 3
    with pytest.raises(ModelError, match="classes: got 3, expected 1: one score, with two outcomes"):
        TrainConfig.from_json(values)


def test_bounds_that_are_not_given_are_those_of_block_and_cell():
    """What is written tells all of them, so that a model remembers what it was trained with."""
    shipped = TrainConfig.from_toml(SHIPPED)
    config = replace(shipped, ranges=RangeBounds({"gates": 2.5}))
    bounds = {"convolution": 4.0, "gates": 2.5, "candidate": 2.25, "cell": 2.25}
    assert config.ranges.bounds == bounds
    assert config.to_json()["ranges"] == {**bounds, "mean_weight": 1.0, "max_weight": 0.03, "max_from": 0.55}
    with pytest.raises(ModelError, match="ranges: got list, expected a table"):
        TrainConfig.from_json({**shipped.to_json(), "ranges": []})


class LooksAhead(LstmConfig):
    """A cell whose states depend on frames behind them."""

    causal = False


def test_a_cell_that_looks_ahead_takes_no_padding():
    """Padding stands behind the real frames; such a cell would carry it into their states."""
    shipped = TrainConfig.from_toml(SHIPPED)
    config = replace(shipped, model=replace(shipped.model, cell=LooksAhead(8)))
    frames = structs.replace(config.preparation, kind="frames", source=(4, 8, 32, 32), axis=2, slices_per_frame=1)
    assert replace(config, preparation=frames, augmentation=type(config.augmentation)()).preparation.length == "exact"
    for length in ("pad", "sample"):
        padded = structs.replace(frames, length=length)
        with pytest.raises(ModelError, match="a state of the cell lstm depends on frames behind it; train with prep"):
            replace(config, preparation=padded, augmentation=type(config.augmentation)())


def test_an_absent_training_file_says_so(tmp_path):
    with pytest.raises(FileFormatError, match=r"train.toml: cannot be read \(No such file"):
        TrainConfig.from_toml(tmp_path / "train.toml")


def test_exact_is_a_degree_and_a_length(tmp_path):
    """Degrees that are none are written as "exact"; the length of sequences is called so, too."""
    path = tmp_path / "train.toml"
    path.write_text(
        """
dataset = "colposcopy"
[preparation]
kind = "frames"
source = [2, 1, 8, 8]
frames = 2
channels = 1
height = 8
width = 8
length = "exact"
[model]
frames = 2
channels = 1
height = 8
width = 8
blocks = [{ out_channels = 3, activation_degree = "exact" }]
lstm = { hidden_size = 2, gate_degree = "exact", cell_output = "tanh" }
"""
    )
    config = TrainConfig.from_toml(path)
    assert config.preparation.length == "exact"
    assert config.model.cell.gate_degree is None
    assert config.model.blocks[0].activation_degree is None
