"""A training that begins with the frame encoder of another one: which it takes, and what it remembers of it."""

import shutil
from dataclasses import replace

import pytest
import torch

from heclstm.data.datasets import Splits
from heclstm.errors import FileFormatError, InputError, ModelError
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.config import BlockConfig
from heclstm.model.recipe import Distillation, EarlyStopping, RangeBounds
from heclstm.model.train.checkpoint import BEST, NAME, SafetensorsIO, averaged
from heclstm.model.train.encoder import Encoder
from heclstm.model.train.network import HeClstm
from heclstm.model.train.training import train_model
from heclstm.model.weights import load_model, save_model
from heclstm.usecases import train as usecase
from tiny_training import CONFIG, squares

BRIEF = replace(CONFIG, optimization=replace(CONFIG.optimization, epochs=2, average_from=0.5))
STILL = replace(
    BRIEF,
    seed=5,
    optimization=replace(BRIEF.optimization, epochs=1, learning_rate=1e-12),
    model=replace(CONFIG.model, cell=DiagonalConfig(4)),
    ranges=RangeBounds(),
)
PAIR = replace(STILL, ensemble=2)


@pytest.fixture(scope="module")
def dataset():
    return Splits(squares(32, 0), squares(24, 1), squares(24, 2), "squares")


@pytest.fixture(scope="module")
def other(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    train_model(BRIEF, dataset, folder)
    return folder


@pytest.fixture(scope="module")
def pair(dataset, other, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    train_model(PAIR, dataset, folder, encoder=Encoder.of(other))
    return folder


def stop_at(number):
    def stop(epoch):
        if epoch.number == number:
            raise KeyboardInterrupt

    return stop


def test_it_begins_with_a_given_encoder(dataset, other, tmp_path):
    """At a learning rate of almost nothing the encoder stays that of the other model, whose cell is another one."""
    encoder = Encoder.of(other)
    model = train_model(STILL, dataset, tmp_path / "ours", encoder=encoder)
    began, ended = averaged(other), averaged(tmp_path / "ours")
    learned = [name for name in ended if name.startswith("blocks.") and ended[name].is_floating_point()]
    learned = [name for name in learned if "running" not in name]  # batch normalization is measured anew
    assert len(learned) > 4
    for name in learned:
        torch.testing.assert_close(ended[name], began[name], rtol=0, atol=1e-6)
    assert model.metadata["encoder"] == {"digest": encoder.digest, "model": load_model(other).digest}
    assert "encoder" not in load_model(other).metadata
    wider = replace(STILL, model=replace(STILL.model, blocks=(BlockConfig(6), BlockConfig(12))))
    taught = replace(wider, distillation=Distillation(teachers=1))
    with pytest.raises(ModelError, match=r"has another frame encoder than the training file: blocks.1\S+ differs"):
        train_model(taught, dataset, tmp_path / "wider", encoder=encoder)
    assert not (tmp_path / "wider").exists()  # before teachers were trained


def test_nothing_that_is_not_finished_is_an_encoder(dataset, other, tmp_path):
    """Until weights are averaged, a checkpoint's average is the network as it was before training: random."""
    with pytest.raises(FileFormatError, match="train that model first"):
        Encoder.of(tmp_path / "nothing")
    long = replace(BRIEF, optimization=replace(BRIEF.optimization, epochs=4, average_from=0.75))
    with pytest.raises(KeyboardInterrupt):
        train_model(long, dataset, tmp_path / "stopped", on_epoch=stop_at(3))
    with pytest.raises(FileFormatError, match=r"holds no finished training .*train that model first, to its end"):
        Encoder.of(tmp_path / "stopped")
    for name in ("model.json", "model.safetensors"):  # of an earlier training, so to say
        shutil.copy(other / name, tmp_path / "stopped" / name)
    with pytest.raises(ModelError, match=r"checkpoint.safetensors: is of an epoch before weights are averaged"):
        Encoder.of(tmp_path / "stopped")
    (tmp_path / "stopped" / NAME).unlink()
    with pytest.raises(FileFormatError, match="copy it from where that model was trained"):
        Encoder.of(tmp_path / "stopped")


def test_of_a_training_that_stopped_early_it_is_that_of_the_best_epoch(dataset, tmp_path):
    patient = replace(
        BRIEF,
        optimization=replace(BRIEF.optimization, epochs=12, average_from=0.4),
        early_stopping=EarlyStopping(patience=2),
    )
    train_model(patient, dataset, tmp_path)
    last, best = (SafetensorsIO().load_checkpoint(tmp_path / name) for name in (NAME, BEST))
    assert best["epoch"] < last["epoch"]
    name = "blocks.0.convolution.weight"
    found = Encoder.of(tmp_path).tensors[name]
    assert torch.equal(found, best["state_dict"][f"average.module.{name}"])
    assert not torch.equal(found, last["state_dict"][f"average.module.{name}"])


def test_an_ensemble_gives_that_of_its_first_network_or_of_a_named_one(pair, tmp_path):
    whole, first, second = (Encoder.of(place) for place in (pair, pair / "member-1", pair / "member-2"))
    assert whole.digest == first.digest
    assert {each.model.digest for each in (whole, first, second)} == {load_model(pair).digest}
    network = HeClstm(STILL.model)
    second.put_into(network)
    name = "blocks.0.convolution.weight"
    assert torch.equal(network.state_dict()[name], averaged(pair / "member-2")[name])
    shutil.copytree(pair / "member-1", tmp_path / "member-1")  # of an ensemble that is not finished
    with pytest.raises(FileFormatError, match="holds no finished training"):
        Encoder.of(tmp_path / "member-1")


def test_a_warm_start_leaves_nothing_for_it_to_do(dataset, other, tmp_path):
    warm = replace(BRIEF, distillation=Distillation(teachers=1, warm_start=True))
    with pytest.raises(ModelError, match="leave out --encoder, or warm_start"):
        train_model(warm, dataset, tmp_path / "warm", encoder=Encoder.of(other))
    assert not (tmp_path / "warm").exists()


def test_a_stopped_training_goes_on_with_the_same_one_only(dataset, other, pair, tmp_path):
    encoder = Encoder.of(other)
    with pytest.raises(KeyboardInterrupt):
        train_model(PAIR, dataset, tmp_path, encoder=encoder, on_epoch=stop_at(2))
    with pytest.raises(ModelError, match="began with an --encoder, got none; give --encoder as before"):
        train_model(PAIR, dataset, tmp_path)
    with pytest.raises(ModelError, match="began with an --encoder, got another encoder"):
        train_model(PAIR, dataset, tmp_path, encoder=Encoder.of(pair))
    assert train_model(PAIR, dataset, tmp_path, encoder=encoder).digest == load_model(pair).digest
    with pytest.raises(ModelError, match="began without --encoder, got another encoder"):
        train_model(BRIEF, dataset, other, encoder=encoder)


def test_teachers_remember_it_for_their_pupil(dataset, other, tmp_path):
    taught = replace(BRIEF, distillation=Distillation(teachers=1))
    with pytest.raises(KeyboardInterrupt):
        train_model(taught, dataset, tmp_path, encoder=Encoder.of(other), on_epoch=stop_at(2))
    with pytest.raises(ModelError, match=r"teacher-1: .* began with an --encoder, got none"):
        train_model(taught, dataset, tmp_path)


@pytest.fixture
def noted(monkeypatch, dataset):
    """Trains by the use case on `dataset`, and returns what it told."""

    class Notes:
        def __init__(self):
            self.texts = []

        def note(self, text):
            self.texts.append(text)

        def stage(self, name):
            return usecase.SILENT.stage(name)

    monkeypatch.setattr(usecase, "load_dataset", lambda *_: dataset)

    def run(recipe, folder, **options):
        notes = Notes()
        usecase.train(recipe, folder, events=notes, **options)
        return notes.texts

    return run


def test_folds_are_refused_and_other_parts_are_told(noted, dataset, other, monkeypatch, tmp_path):
    fold = replace(STILL, data={"folds": 5, "fold": 1})
    with pytest.raises(InputError, match=r"it may have seen .*; leave out --encoder, or folds and fold in \[data\]"):
        noted(fold, tmp_path / "fold", encoder=other)
    told = "it may have seen those of the test part"
    assert not any(told in text for text in noted(STILL, tmp_path / "same", encoder=other))
    dealt = replace(dataset, train=squares(33, 0))
    monkeypatch.setattr(usecase, "load_dataset", lambda *_: dealt)
    assert sum(told in text for text in noted(STILL, tmp_path / "dealt", encoder=other)) == 1


def test_resuming_replaces_no_model_of_another_training_file(noted, pair, other, tmp_path):
    """Of an ensemble, which has no checkpoint of its own."""
    shutil.copytree(pair, tmp_path / "pair")
    before = (tmp_path / "pair" / "model.json").read_bytes()
    for recipe in (STILL, replace(PAIR, ensemble=3)):
        with pytest.raises(ModelError, match="holds the model of another training file; choose another folder"):
            noted(recipe, tmp_path / "pair", resume=True, encoder=other)
    assert (tmp_path / "pair" / "model.json").read_bytes() == before
    assert not (tmp_path / "pair" / NAME).exists()
    noted(PAIR, tmp_path / "pair", resume=True, encoder=other)
    assert (tmp_path / "pair" / "model.json").read_bytes() == before


def test_resuming_undoes_no_calibration(noted, pair, other, tmp_path):
    shutil.copytree(pair, tmp_path / "pair")
    model = load_model(tmp_path / "pair")
    save_model(model.with_metadata(calibration={"sequences": 30, "margin": 1.25}), tmp_path / "pair")
    before = (tmp_path / "pair" / "model.json").read_bytes()
    with pytest.raises(ModelError, match="its model was calibrated since it was trained, which --resume would undo"):
        noted(PAIR, tmp_path / "pair", resume=True, encoder=other)
    assert (tmp_path / "pair" / "model.json").read_bytes() == before
