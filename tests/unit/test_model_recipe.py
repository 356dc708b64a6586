"""Training files: the shipped one, JSON and back, and what is refused."""

import json
from pathlib import Path

import pytest

from heclstm.errors import FileFormatError, ModelError
from heclstm.model.recipe import TrainConfig

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
    assert config.model.lstm.gate_degree is None


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
        ("[ranges]", "[ranges", FileFormatError, "not readable as TOML: .*line"),
    ],
)
def test_wrong_training_files_are_refused(tmp_path, old, new, error, message):
    with pytest.raises(error, match=message):
        TrainConfig.from_toml(_edited(tmp_path, old, new))


def test_more_than_one_score_is_not_trained():
    values = TrainConfig.from_toml(SHIPPED).to_json()
    values["model"]["classes"] = 3
    with pytest.raises(ModelError, match="got 3 classes, expected 1"):
        TrainConfig.from_json(values)


def test_an_absent_training_file_says_so(tmp_path):
    with pytest.raises(FileFormatError, match=r"train.toml: cannot be read \(No such file"):
        TrainConfig.from_toml(tmp_path / "train.toml")
