"""Training on an easy task: it learns, keeps its ranges, can be stopped, and never sees the test part."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heclstm.card.preparation import Preparation
from heclstm.compiler.compile import compile_circuit
from heclstm.data.datasets import Splits
from heclstm.data.prepare import prepare_all
from heclstm.errors import FileFormatError, ModelError
from heclstm.model.calibrate import calibrate, check_ranges
from heclstm.model.cells import CELLS
from heclstm.model.evaluate import evaluate_model
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import Distillation, RangeBounds, TrainConfig
from heclstm.model.reference import forward
from heclstm.model.train.losses import class_weight, range_penalty
from heclstm.model.train.training import train_model
from heclstm.model.weights import load_model
from tiny_training import CONFIG, squares


@pytest.fixture(scope="module")
def dataset():
    return Splits(squares(96, 0), squares(48, 1), squares(48, 2), "squares", "CC0", "nobody")


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    epochs = []
    blind = replace(dataset, test=None)  # the test part is not there to be looked at
    return train_model(CONFIG, blind, folder, on_epoch=epochs.append), folder, epochs


def test_it_learns(trained, dataset):
    model, _, epochs = trained
    scores = forward(model, prepare_all(dataset.test.images, CONFIG.preparation))["score"][:, 0]
    assert area_under_curve(scores, dataset.test.labels) > 0.9
    assert [epoch.number for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].loss < epochs[0].loss


@pytest.mark.parametrize("kind", CELLS)
def test_every_cell_learns(kind, dataset, tmp_path):
    """Each with the ranges of its own; what it becomes can be compiled."""
    config = replace(CONFIG, model=replace(CONFIG.model, cell=CELLS[kind](4)), ranges=RangeBounds())
    model = train_model(config, dataset, tmp_path)
    frames = prepare_all(dataset.test.images, CONFIG.preparation)
    assert area_under_curve(forward(model, frames)["score"][:, 0], dataset.test.labels) > 0.9
    assert TrainConfig.from_json(load_model(tmp_path).metadata["training"]) == config
    assert compile_circuit(model).parameters.security == "128"
    check_ranges(calibrate(model, frames), forward(model, frames))


def test_the_model_is_saved_with_all_that_serving_needs(trained):
    model, folder, _ = trained
    loaded = load_model(folder)
    assert loaded.digest == model.digest
    assert Preparation.from_json(loaded.metadata["preparation"]) == CONFIG.preparation
    assert loaded.metadata["operating_point"]["sensitivity"] >= 0.95
    assert loaded.metadata["metrics"]["validation"]["sequences"] == 48
    assert TrainConfig.from_json(loaded.metadata["training"]) == CONFIG
    assert loaded.metadata["licence"] == "CC0"
    assert np.all(loaded.arrays["blocks.0.coefficients"][:, 2] >= 0.05)


def test_evaluation_stands_beside_the_validation_figures(trained, dataset):
    model = evaluate_model(trained[0], dataset.test, "test", command="pytest")
    scores = forward(model, prepare_all(dataset.test.images, CONFIG.preparation))["score"][:, 0]
    threshold = model.metadata["operating_point"]["threshold"]
    measured = model.metadata["metrics"]["test"]
    assert measured["auc"] == area_under_curve(scores, dataset.test.labels)
    assert measured["sensitivity"] == np.mean(scores[dataset.test.labels == 1] >= threshold)
    assert measured["specificity"] == np.mean(scores[dataset.test.labels == 0] < threshold)
    assert (measured["sequences"], measured["positives"], measured["command"]) == (48, 16, "pytest")
    assert set(model.metadata["metrics"]) == {"validation", "test"}
    with pytest.raises(ModelError, match="the model has no operating point"):
        evaluate_model(model.with_metadata(operating_point=None), dataset.test, "test")


def test_a_stopped_training_ends_with_the_same_weights(trained, dataset, tmp_path):
    def stop(epoch):
        if epoch.number == 8:  # within the epochs that are averaged, before its checkpoint is written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(CONFIG, dataset, tmp_path, on_epoch=stop)
    seen = []
    resumed = train_model(CONFIG, dataset, tmp_path, on_epoch=seen.append)
    assert [epoch.number for epoch in seen] == [8]
    assert resumed.digest == trained[0].digest


def test_teachers_soften_the_labels_and_the_pupil_learns(dataset, tmp_path):
    config = replace(CONFIG, distillation=Distillation(teachers=2, weight=0.8))
    seen = []
    model = train_model(config, replace(dataset, test=None), tmp_path, on_epoch=seen.append)
    assert [epoch.stage for epoch in seen[::8]] == ["teacher 1 of 2", "teacher 2 of 2", "model"]
    assert [(epoch.number, epoch.epochs) for epoch in seen] == [(number, 24) for number in range(1, 25)]
    scores = forward(model, prepare_all(dataset.test.images, CONFIG.preparation))["score"][:, 0]
    assert area_under_curve(scores, dataset.test.labels) > 0.9
    assert model.config.cell.gate_degree == 1  # the pupil, not a twin
    again = train_model(config, dataset, tmp_path, on_epoch=seen.append)  # all is there already
    assert len(seen) == 24
    assert again.digest == model.digest


def test_both_classes_weigh_the_same():
    assert class_weight(np.array([1, 0, 0, 0], np.float32)) == 3.0
    assert class_weight(np.array([0.5, 0.5, 0.0, 0.0], np.float32)) == 3.0


def test_a_checkpoint_of_another_training_file_is_refused(trained, dataset):
    _, folder, _ = trained
    other = replace(CONFIG, seed=5, distillation=Distillation(teachers=1))
    with pytest.raises(ModelError, match="holds the checkpoint of another training file"):
        train_model(other, dataset, folder, on_epoch=lambda epoch: pytest.fail("trained a teacher first"))


def test_a_broken_checkpoint_is_refused(dataset, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x10")
    with pytest.raises(FileFormatError, match="not a checkpoint of this training"):
        train_model(CONFIG, dataset, tmp_path)


def test_the_range_penalty_is_what_its_formula_says():
    values = {
        "blocks.0": torch.tensor([[3.0, -6.0]]),
        "lstm.gates": torch.tensor([[[1.0, 4.0, 3.0, 0.0]]]),  # i, f, g, o of one unit: f by 1, g by 0.75
        "lstm.cell": torch.tensor([[[2.25]]]),
        "score": torch.tensor([[9.0]]),
    }
    mean = 0.1 * (2.0**2 / 2 + 1.0**2 / 3 + 0.75**2)
    largest = 0.003 * (2.0**2 + 1.0**2 + 0.75**2)
    ranges, bounds = CONFIG.model.graph.ranges, RangeBounds(mean_weight=0.1, max_weight=0.003).of(CONFIG.model)
    assert float(range_penalty(values, ranges, bounds, late=False)) == pytest.approx(mean)
    assert float(range_penalty(values, ranges, bounds, late=True)) == pytest.approx(mean + largest)
