"""What a training file may ask for besides: focal loss, weights, early stopping, transforms; the table of epochs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heclstm.data.datasets import Splits
from heclstm.errors import FileFormatError, ModelError
from heclstm.model.config import LstmConfig
from heclstm.model.epochs import METRICS, read_epochs, write_epochs
from heclstm.model.recipe import Augmentation, Distillation, EarlyStopping, LossSettings, Optimization, RangeBounds
from heclstm.model.train.checkpoint import load_weights
from heclstm.model.train.losses import class_weight, focal_loss, sequence_loss
from heclstm.model.train.network import HeClstm
from heclstm.model.train.training import train_model
from heclstm.model.weights import load_model
from tiny_training import CONFIG, squares


@pytest.fixture(scope="module")
def dataset():
    return Splits(squares(48, 0), squares(24, 1), None, "squares")


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)
    values = {"score": 3 * torch.randn(32, 1, generator=draw, dtype=torch.float64)}
    return values, torch.rand(32, generator=draw, dtype=torch.float64), torch.tensor(2.5, dtype=torch.float64)


def test_without_gamma_the_focal_loss_is_cross_entropy(batch):
    torch.testing.assert_close(focal_loss(0.0)(*batch), sequence_loss(*batch))  # to the rounding of float64


def test_the_focal_loss_is_what_its_formula_says():
    values, wanted = {"score": torch.tensor([[2.0], [-1.0]])}, torch.tensor([1.0, 0.0])
    right = torch.tensor([2.0, 1.0]).sigmoid()  # the probability of what is true
    expected = (torch.tensor([3.0, 1.0]) * (1 - right) ** 2 * -right.log()).mean()
    torch.testing.assert_close(focal_loss(2.0)(values, wanted, torch.tensor(3.0)), expected)


def test_what_is_scored_rightly_counts_less(batch):
    values, _, weight = batch
    wanted = (values["score"][:, 0] > 0).double()
    losses = [float(focal_loss(gamma)(values, wanted, weight)) for gamma in (0.0, 1.0, 2.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 2 * losses[2]


def test_positives_weigh_more_if_asked():
    assert class_weight(np.array([1, 0, 0, 0], np.float32), 2.0) == 6.0


def test_a_weight_on_positives_raises_their_scores(dataset, tmp_path):
    """The threshold follows the scores, so what must rise is the mean logit, by about log 8."""
    scores = []
    for factor in (1.0, 8.0):
        config = replace(CONFIG, loss=LossSettings(positive_weight=factor))
        model = train_model(config, dataset, tmp_path / f"{factor}")
        scores.append(model.metadata["operating_point"]["threshold"])
    assert scores[1] > scores[0]


def test_training_with_a_focal_loss_learns(dataset, tmp_path):
    model = train_model(replace(CONFIG, loss=LossSettings(focal_gamma=2.0)), dataset, tmp_path)
    assert model.metadata["metrics"]["validation"]["auc"] > 0.8


def test_training_with_a_transform_of_monai(dataset, tmp_path):
    noisy = Augmentation((0, 1), transforms=({"name": "RandGaussianNoise", "prob": 1.0, "std": 5.0},))
    seen = []
    train_model(replace(CONFIG, augmentation=noisy), dataset, tmp_path, on_epoch=seen.append)
    assert seen[-1].loss < seen[0].loss
    wrong = Augmentation((0, 1), transforms=({"name": "RandNothing"},))
    with pytest.raises(ModelError, match="RandNothing"):
        train_model(replace(CONFIG, augmentation=wrong), dataset, tmp_path / "none")
    assert not (tmp_path / "none").exists()


PATIENT = replace(
    CONFIG,
    optimization=Optimization(epochs=30, batch_size=16, learning_rate=1e-2, average_from=0.4),
    early_stopping=EarlyStopping(patience=3),
)


def test_early_stopping_keeps_the_best_epoch(dataset, tmp_path):
    seen = []
    model = train_model(PATIENT, dataset, tmp_path, on_epoch=seen.append)
    candidates = [epoch.validation_auc for epoch in seen[12:]]
    best = int(np.argmax(candidates))  # the first of equal ones
    assert len(candidates) == best + 1 + 3  # or it would not have stopped
    assert len(seen) < 30
    # Batch normalization is measured anew, on images that are not augmented, so that the figure moves a little.
    assert model.metadata["metrics"]["validation"]["auc"] == pytest.approx(candidates[best], abs=0.05)
    again = train_model(PATIENT, dataset, tmp_path, on_epoch=lambda epoch: pytest.fail("went on"))
    assert again.digest == model.digest


def test_stopped_early_and_stopped_by_hand_end_alike(dataset, tmp_path):
    def stop(epoch):
        if epoch.number == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(PATIENT, dataset, tmp_path / "twice", on_epoch=stop)
    resumed = train_model(PATIENT, dataset, tmp_path / "twice")
    assert resumed.digest == train_model(PATIENT, dataset, tmp_path / "once").digest
    assert read_epochs(tmp_path / "twice") == read_epochs(tmp_path / "once")


def test_a_warm_start_begins_with_the_teacher(dataset, tmp_path):
    """Of no epoch at all, so to say: with a learning rate of almost nothing the weights stay the teacher's."""
    still = Optimization(epochs=1, batch_size=16, learning_rate=1e-12, average_from=0.5)
    warm = Distillation(teachers=1, warm_start=True)
    model = train_model(replace(CONFIG, optimization=still, distillation=warm), dataset, tmp_path)
    teacher = load_model(tmp_path / "teacher-1")
    for name in ("vote.weight", "weighted_unit.spatial_weight", "lstm.recurrent_weight"):
        np.testing.assert_allclose(model.arrays[name], teacher.arrays[name], atol=1e-6)  # one step of AdamW
    assert model.config.cell.gate_degree == 1
    with pytest.raises(FileFormatError, match="train that model first"):
        load_weights(HeClstm(CONFIG.model), tmp_path / "teacher-2")
    wider = replace(CONFIG.model, cell=LstmConfig(8))
    with pytest.raises(ModelError, match="holds another network"):
        load_weights(HeClstm(wider), tmp_path / "teacher-1")


def test_a_moved_folder_goes_on_as_if_it_stood(dataset, tmp_path):
    def stop(epoch):
        if epoch.number == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(PATIENT, dataset, tmp_path / "here", on_epoch=stop)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = train_model(PATIENT, dataset, tmp_path / "there")
    assert moved.digest == train_model(PATIENT, dataset, tmp_path / "once").digest


def test_a_stale_best_epoch_is_not_taken(dataset, tmp_path):
    train_model(PATIENT, dataset, tmp_path / "used")
    (tmp_path / "used" / "checkpoint.safetensors").unlink()
    again = train_model(CONFIG, dataset, tmp_path / "used")
    assert again.digest == train_model(CONFIG, dataset, tmp_path / "clean").digest


def test_a_teacher_of_another_training_file_is_refused(dataset, tmp_path):
    config = replace(CONFIG, distillation=Distillation(teachers=1))

    def stop(epoch):
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(config, dataset, tmp_path, on_epoch=stop)
    slower = replace(config, optimization=replace(config.optimization, learning_rate=5e-3))
    with pytest.raises(ModelError, match="teacher-1: holds the checkpoint of another training file"):
        train_model(slower, dataset, tmp_path)


def test_every_epoch_is_in_the_table(dataset, tmp_path):
    seen = []
    train_model(replace(CONFIG, seed=3), dataset, tmp_path, on_epoch=seen.append)
    assert read_epochs(tmp_path) == seen
    assert (
        (tmp_path / METRICS).read_text().startswith("stage,number,epochs,loss,penalty,validation_loss,validation_auc\n")
    )


@pytest.mark.parametrize("content", ["", "garbage\n", "a,b\n1,2\n", "stage,number\nmodel,x\n"])
def test_other_tables_are_refused(tmp_path, content):
    (tmp_path / METRICS).write_text(content)
    with pytest.raises(FileFormatError, match="not a table of epochs"):
        read_epochs(tmp_path)


def test_no_table_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"metrics.csv: not a table"):
        read_epochs(tmp_path)
    write_epochs([], tmp_path)
    assert read_epochs(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (LossSettings, {"positive_weight": 0.0}, "loss.positive_weight: got 0.0"),
        (LossSettings, {"focal_gamma": -1.0}, "loss.focal_gamma: got -1.0"),
        (EarlyStopping, {"patience": -1}, "early_stopping.patience: got -1"),
        (EarlyStopping, {"patience": True}, "early_stopping.patience: got True"),
        (LossSettings, {"positive_weight": float("nan")}, "loss.positive_weight: got nan"),
        (LossSettings, {"focal_gamma": True}, "loss.focal_gamma: got True"),
        (Optimization, {"epochs": True}, "optimization.epochs: got True"),
        (Optimization, {"weight_decay": -1}, "optimization.weight_decay: got -1"),
        (Optimization, {"gradient_clip": float("inf")}, "optimization.gradient_clip: got inf"),
        (Optimization, {"learning_rate": 10**30}, "optimization.learning_rate: got 1"),
        (Optimization, {"gate_span": 0.3}, "optimization.gate_span: got .0.3,"),
        (Optimization, {"gate_span": ("a", "b")}, "optimization.gate_span: got "),
        (RangeBounds, {"bounds": {"convolution": "4"}}, "ranges.convolution: got '4'"),
        (RangeBounds, {"max_weight": -0.1}, "ranges.max_weight: got -0.1"),
        (Augmentation, {"axes": (0, 1), "shift": 1.5}, "augmentation.shift: got 1.5"),
        (Augmentation, {"axes": (-2, -1)}, "augmentation.axes: got "),
        (
            Augmentation,
            {"axes": (0, 1), "transforms": "RandFlip"},
            "augmentation.transforms: got 'RandFlip', expected a",
        ),
        (Distillation, {"warm_start": True}, "distillation.warm_start: got True"),
        (Distillation, {"teachers": 1, "warm_start": 1}, "distillation.warm_start: got 1"),
    ],
)
def test_wrong_settings_are_refused(kind, fields, message):
    with pytest.raises(ModelError, match=message):
        kind(**fields)
