"""`heclstm train` on a tiny data set: what it refuses, how it resumes, and the way on to a program."""

import json
import sys

import numpy as np
import pytest

from heclstm.model.cells import CELLS

CONFIG = """
dataset = "medmnist3d"

[preparation]
kind = "volume"
source = [8, 8, 8]
axis = 2
slices_per_frame = 4
frames = 2
channels = 4
height = 8
width = 8

[model]
frames = 2
channels = 4
height = 8
width = 8
blocks = [{ out_channels = 4 }]
lstm = { hidden_size = 4 }

[optimization]
epochs = 2
batch_size = 8
"""
LSTM = "lstm = { hidden_size = 4 }\n"


@pytest.fixture
def training(tmp_path):
    """(training file, data set): spheres with and without a hole."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 32), ("val", 12), ("test", 4)):
        labels = np.arange(count) % 2
        images = (rng.random((count, 8, 8, 8)) < 0.3 + 0.4 * labels[:, None, None, None]) * np.uint8(255)
        arrays |= {f"{part}_images": images, f"{part}_labels": labels[:, None].astype(np.uint8)}
    np.savez(tmp_path / "data.npz", **arrays)
    (tmp_path / "train.toml").write_text(CONFIG)
    return tmp_path / "train.toml", tmp_path / "data.npz"


@pytest.fixture
def done(call):
    """Runs a command that must succeed, and returns what it printed for programs."""

    def run(*arguments):
        code, stdout, stderr = call(*arguments, "--json")
        assert code == 0, stderr
        return json.loads(stdout)

    return run


def test_without_torch_it_says_what_to_install(refused, training, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "heclstm.model.train.training", raising=False)
    config, data = training
    assert "pip install heclstm[train]" in refused("train", config, "--data", data, "-o", tmp_path / "model")


def test_resume_needs_a_checkpoint(refused, training, tmp_path):
    config, data = training
    assert "no checkpoint" in refused("train", config, "--data", data, "-o", tmp_path / "model", "--resume")


@pytest.mark.parametrize("kind", CELLS)
def test_train_calibrate_compile(call, done, refused, training, tmp_path, kind):
    """With every registered cell, as a training file names it."""
    pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    config, data = training
    config.write_text(CONFIG.replace(LSTM, "") + f'\n[model.cell]\nkind = "{kind}"\nhidden_size = 4\n')
    model = tmp_path / "model"
    trained = done("train", config, "--data", data, "-o", model, "--seed", 1)
    assert 0 <= trained["validation"]["auc"] <= 1
    assert (model / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    assert len((model / "metrics.csv").read_text().splitlines()) == 1 + 2  # a head, two epochs
    assert "add --resume" in refused("train", config, "--data", data, "-o", model)
    assert done("train", config, "--data", data, "-o", model, "--seed", 1, "--resume")["digest"] == trained["digest"]
    assert "never calibrated" in call("compile", model, "-o", tmp_path / "early", "--json")[2]
    assert call("calibrate", model, "--data", data)[0] == 0
    code, stdout, stderr = call("compile", model, "-o", tmp_path / "program", "--json")
    assert code == 0, stderr
    assert "never calibrated" not in stderr
    assert json.loads(stdout)["security"] == "128"
    assert done("inspect", model)["cell"] == kind


def test_a_training_file_may_name_its_lstm_as_before(done, training, tmp_path):
    pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    config, data = training
    first = done("train", config, "--data", data, "-o", tmp_path / "first")
    config.write_text(CONFIG.replace(LSTM, "") + '\n[model.cell]\nkind = "lstm"\nhidden_size = 4\n')
    second = done("train", config, "--data", data, "-o", tmp_path / "second")
    assert first["digest"] == second["digest"]


def test_an_unknown_cell_is_refused(refused, training, tmp_path):
    config, data = training
    config.write_text(CONFIG.replace(LSTM, "") + '\n[model.cell]\nkind = "transformer"\nhidden_size = 4\n')
    said = refused("train", config, "--data", data, "-o", tmp_path / "model")
    assert f"cell: got kind 'transformer', expected one of {', '.join(CELLS)}" in said


def test_cross_validation(done, refused, training, tmp_path):
    pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    config, data = training
    runs = tmp_path / "runs"
    found = done("train", config, "--data", data, "-o", runs, "--folds", 2)
    assert [fold["name"] for fold in found["folds"]] == ["fold-1", "fold-2"]
    measures = [fold["measures"]["clear"] for fold in found["folds"]]
    counts = [
        sum(each[name] for name in ("true_positives", "missed", "true_negatives", "false_alarms")) for each in measures
    ]
    assert sum(counts) == 32 + 12  # training and validation part, each once; the test part never
    assert found["pooled"]["clear"]["missed"] == sum(each["missed"] for each in measures)
    assert "fold-2" in (runs / "cross-validation.html").read_text()
    assert json.loads((runs / "cross-validation.json").read_text())["folds"] == found["folds"]
    again = done("evaluate", runs / "fold-1", runs / "fold-2", "--data", data)
    assert again["pooled"] == found["pooled"]  # each model knows its fold
    assert "share patient" in refused("evaluate", runs / "fold-1", runs / "fold-1", "--data", data)
    assert "add --resume" in refused("train", config, "--data", data, "-o", runs, "--folds", 2)


def test_other_data_than_in_training_is_told(call, done, refused, training, tmp_path):
    config, data = training
    model = tmp_path / "model"
    done("train", config, "--data", data, "-o", model)
    told = "not the data set as it was in training"
    assert told not in call("evaluate", model, "--data", data, "--json")[2]
    arrays = dict(np.load(data))
    arrays["train_labels"][:2] = arrays["train_labels"][1::-1]  # two labels changed
    np.savez(data, **arrays)
    assert told in call("evaluate", model, "--data", data, "--json")[2]
    assert "checkpoint of another data set" in refused("train", config, "--data", data, "-o", model, "--resume")
    assert told in call("calibrate", model, "--data", data)[2]
    assert "was calibrated since it was trained" in refused("train", config, "--data", data, "-o", model, "--resume")


def test_a_fold_is_not_divided_again(refused, training, tmp_path):
    config, data = training
    config.write_text(config.read_text() + "\n[data]\nfolds = 3\n")
    assert "chooses a fold already" in refused("train", config, "--data", data, "-o", tmp_path / "runs", "--folds", 2)


def test_a_model_is_not_trained_over(refused, training, tmp_path):
    config, data = training
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    assert "holds a model already" in refused("train", config, "--data", data, "-o", tmp_path / "model")
    assert (tmp_path / "model" / "model.json").read_text() == "{}"


def test_folds_that_cannot_be_trained_are_told_before_the_first(refused, training, tmp_path):
    config, data = training
    runs = tmp_path / "runs"
    assert "fold 45 of 60: got no patient" in refused("train", config, "--data", data, "-o", runs, "--folds", 60)
