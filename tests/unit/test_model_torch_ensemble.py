"""Ensembles as they are trained: networks of several seeds in one model, each with its own checkpoint."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
from heclstm.data.datasets import Splits
from heclstm.errors import ModelError
from heclstm.model.calibrate import calibrate
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.ensemble import joined
from heclstm.model.epochs import read_epochs
from heclstm.model.recipe import Distillation, RangeBounds, TrainConfig
from heclstm.model.reference import forward
from heclstm.model.train.training import train_model
from heclstm.model.weights import load_model
from tiny_training import CONFIG, squares

SHORT = replace(CONFIG, optimization=replace(CONFIG.optimization, epochs=2))
PAIR = replace(SHORT, model=replace(CONFIG.model, cell=DiagonalConfig(4)), ranges=RangeBounds(), ensemble=2)


@pytest.fixture(scope="module")
def dataset():
    return Splits(squares(32, 0), squares(24, 1), squares(24, 2), "squares")


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    folder, seen = tmp_path_factory.mktemp("pair"), []
    return train_model(PAIR, dataset, folder, on_epoch=seen.append), folder, seen


def test_it_is_the_networks_of_its_seeds_side_by_side(trained, dataset, tmp_path):
    model, folder, _ = trained
    alone = [train_model(PAIR.member(number), dataset, tmp_path / str(number)) for number in (1, 2)]
    expected = joined(alone)
    assert model.config == PAIR.whole_model
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(model.arrays[name], array, err_msg=name)
    assert load_model(folder).digest == model.digest
    assert not np.array_equal(alone[0].arrays["blocks.0.weight"], alone[1].arrays["blocks.0.weight"])


def test_epochs_are_counted_over_all_networks(trained):
    _, folder, seen = trained
    assert [epoch.stage for epoch in seen] == ["network 1 of 2"] * 2 + ["network 2 of 2"] * 2
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4]
    assert {epoch.epochs for epoch in seen} == {4}
    assert read_epochs(folder / "member-2") == seen[2:]


def test_operating_point_and_figures_are_of_the_mean(trained, dataset):
    model, _, _ = trained
    from heclstm.data.datasets import prepare_part
    from heclstm.model.metrics import area_under_curve

    scores = forward(model, *prepare_part(dataset.validation, PAIR.preparation))["score"][:, 0]
    assert model.metadata["metrics"]["validation"]["auc"] == area_under_curve(scores, dataset.validation.labels)
    assert TrainConfig.from_json(model.metadata["training"]) == PAIR
    frames, _ = prepare_part(dataset.validation, PAIR.preparation)
    assert calibrate(model, frames).metadata["ranges"]["score"]["limit"] > 0


def test_a_stopped_ensemble_goes_on_and_ends_alike(trained, dataset, tmp_path):
    def stop(epoch):
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(PAIR, dataset, tmp_path, on_epoch=stop)
    assert train_model(PAIR, dataset, tmp_path).digest == trained[0].digest
    other = replace(PAIR, optimization=replace(PAIR.optimization, learning_rate=5e-3))
    with pytest.raises(ModelError, match="member-1: holds the checkpoint of another training file"):
        train_model(other, dataset, tmp_path)


def test_what_members_share_stays_as_it_starts(dataset, tmp_path):
    """Gates of an LSTM have one polynomial for all units; alone, they are trained. Teachers are trained once."""
    recipe = replace(SHORT, ensemble=2, distillation=Distillation(teachers=1))
    model = train_model(recipe, dataset, tmp_path)
    start = CONFIG.model.cell.start()["gate_coefficients"]
    np.testing.assert_array_equal(model.arrays["lstm.gate_coefficients"], start.astype(np.float32))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["member-1", "member-2", "teacher-1"]
    assert {recipe.member(1).seed, recipe.member(2).seed} == {0, 2}  # 1 is the teacher's


def test_what_cannot_be_is_refused():
    with pytest.raises(ModelError, match=r"training file.ensemble: got 0, expected 1 \(one network\) or more"):
        replace(CONFIG, ensemble=0)
    with pytest.raises(ModelError, match="model.members: got 2; say ensemble = 2 instead"):
        replace(CONFIG, model=CONFIG.model.side_by_side(2))
    assert "ensemble" not in CONFIG.to_json()  # earlier checkpoints stay valid
