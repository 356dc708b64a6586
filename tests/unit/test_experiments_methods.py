"""The methods that HE-CLSTM is compared with: what they may see, and that they are trained exactly as it is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.ablations import folds  # noqa: E402  torch is optional
from experiments.fit import evaluate, fit, restored  # noqa: E402
from experiments.methods import METHODS  # noqa: E402
from experiments.robustness import noise  # noqa: E402

from heclstm.card.preparation import Preparation  # noqa: E402
from heclstm.data.datasets import Part, Splits  # noqa: E402
from heclstm.data.prepare import prepare_all  # noqa: E402
from heclstm.errors import ModelError  # noqa: E402
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig  # noqa: E402
from heclstm.model.recipe import Distillation, Optimization, TrainConfig  # noqa: E402
from heclstm.model.reference import forward  # noqa: E402
from heclstm.model.train.network import export  # noqa: E402
from heclstm.model.train.training import train_model  # noqa: E402

MODEL = ModelConfig(3, 1, 8, 8, (BlockConfig(4), BlockConfig(4)), LstmConfig(4))
CONFIG = TrainConfig(
    "clips",
    Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8),
    MODEL,
    5,
    optimization=Optimization(epochs=2, batch_size=8),
)


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    parts = [Part(rng.random((n, 3, 1, 8, 8)).astype(np.float32), np.arange(n) % 2) for n in (24, 10, 10)]
    return Splits(*parts, "noise")


@pytest.fixture
def frames():
    return torch.from_numpy(np.random.default_rng(1).random((6, 3, 1, 8, 8)).astype(np.float32))


def built(name):
    torch.manual_seed(0)
    return METHODS[name].build(MODEL).eval()


def test_he_clstm_is_trained_as_by_the_command(dataset, tmp_path):
    model = train_model(CONFIG, dataset, tmp_path / "command")
    for network in (fit("he_clstm", CONFIG, dataset, tmp_path), restored(CONFIG, dataset, tmp_path / "command")):
        mine = export(network)
        assert all(np.array_equal(mine.arrays[name], array) for name, array in model.arrays.items())


def test_the_twin_is_trained_as_a_teacher(dataset, tmp_path):
    distilled = TrainConfig(**{**vars(CONFIG), "distillation": Distillation(teachers=1)})
    train_model(distilled, dataset, tmp_path)
    teacher = TrainConfig(**{**vars(CONFIG), "seed": CONFIG.seed + 1})
    score = evaluate(fit("exact_twin", teacher, dataset, tmp_path), CONFIG, dataset.test)["score"]
    from heclstm.model.weights import load_model

    expected = forward(load_model(tmp_path / "teacher-1"), prepare_all(dataset.test.images, CONFIG.preparation))[
        "score"
    ]
    # float32 in torch against float64 in NumPy, some hundred operations deep
    np.testing.assert_allclose(score, expected[:, 0], atol=1e3 * np.finfo(np.float32).eps * np.abs(expected).max())


def test_a_finished_training_is_not_done_again(dataset, tmp_path, monkeypatch):
    first = evaluate(fit("frame_vote", CONFIG, dataset, tmp_path), CONFIG, dataset.test)["score"]
    monkeypatch.setattr("experiments.fit.train_network", None)
    again = evaluate(fit("frame_vote", CONFIG, dataset, tmp_path), CONFIG, dataset.test)["score"]
    np.testing.assert_array_equal(first, again)


def test_an_unfinished_training_is_not_restored(dataset, tmp_path):
    with pytest.raises(ModelError, match="no finished training, expected one of 2 epochs"):
        restored(CONFIG, dataset, tmp_path)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_scores_and_learns(name, frames, dataset, tmp_path):
    network = fit(name, CONFIG, dataset, tmp_path)
    values = network.values(frames)
    assert values["score"].shape == (6, 1)
    assert torch.isfinite(values["score"]).all()
    assert torch.equal(network(frames), values["score"])


@torch.no_grad()
def difference_when_turned(name, frames):
    network, frames = built(name).double(), frames.double()
    return float((network(frames) - network(frames.flip(1))).abs().max())


@pytest.mark.parametrize("name", ["per_frame", "mean_pooled"])
def test_the_order_of_frames_is_hidden_from(name, frames):
    assert difference_when_turned(name, frames) < 1e-12  # sums of three float64 in another order


@pytest.mark.parametrize("name", ["stacked", "he_clstm", "own_frame"])
def test_the_order_of_frames_is_seen_by(name, frames):
    assert difference_when_turned(name, frames) > 1e-6


@pytest.mark.parametrize("name", ["per_frame", "own_frame", "frame_vote"])
def test_a_frame_changes_its_own_score_only(name, frames):
    network = built(name)
    other = frames.clone()
    other[:, 1] = 1 - other[:, 1]
    changed = (network.values(frames)["frame_scores"] != network.values(other)["frame_scores"]).any(0)
    assert changed.tolist() == [False, True, False]


def test_without_its_parts_he_clstm_ignores_them(frames):
    network = built("temporal_only")
    before = network(frames)
    network.weighted_unit.spatial.weight.data += 1
    assert torch.equal(network(frames), before)
    network = built("last_frame")
    assert torch.equal(network(frames), network.values(frames)["weighted_unit"][:, -1])
    network = built("mean_vote")
    network.vote.logits.data += torch.arange(3)
    torch.testing.assert_close(network(frames), network.values(frames)["weighted_unit"].mean(1))


def test_folds_take_every_volume_once_and_keep_the_shares(dataset):
    parts = list(folds(dataset))
    left = np.concatenate([part.validation.images for part in parts])
    assert len(parts) == 5
    assert len(np.unique(left.reshape(24, -1), axis=0)) == 24
    assert {int(part.validation.labels.sum()) for part in parts} <= {2, 3}  # 12 positives in 5 folds


@torch.no_grad()
def test_noise_is_as_small_as_it_says(frames):
    network = built("he_clstm")
    clean = network(frames)
    errors = []
    for bits in (8, 16):
        with noise(network, bits, torch.Generator().manual_seed(0)):
            errors.append(float((network(frames) - clean).abs().max()))
    assert torch.equal(network(frames), clean)  # the hooks are gone
    assert errors[0] / errors[1] == pytest.approx(256, rel=0.2)  # linear in the noise, apart from its square


def test_the_test_part_is_looked_at_once(monkeypatch):
    from experiments import adrenal_test

    monkeypatch.setattr("experiments.record.read", lambda name: {"name": name})
    monkeypatch.setattr("experiments.adrenal_test.parsed", lambda card: None)
    with pytest.raises(SystemExit, match="will not be a second time"):
        adrenal_test.main()
