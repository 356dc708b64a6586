"""The picture of a training is drawn whatever happened in it."""

from pathlib import Path

import pytest

from heclstm.model.epochs import Epoch
from heclstm.model.recipe import TrainConfig
from heclstm.report.learning_curve import learning_curve

CONFIG = TrainConfig.from_toml(Path(__file__).parents[2] / "examples" / "adrenal" / "train.toml")


@pytest.mark.parametrize(
    "losses", [[], [0.9], [0.9, 1e12, 0.5], [0.7, 0.6, 0.5]], ids=["none", "one", "exploding", "three"]
)
def test_it_is_a_picture(losses):
    rows = [Epoch("model", k, 40, loss, 0.1, loss, 0.8) for k, loss in enumerate(losses, 1)]
    assert learning_curve(rows, CONFIG).startswith(b"\x89PNG")
