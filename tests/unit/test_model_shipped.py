"""The models in examples/: whole, calibrated, and as good as their own metadata say."""

from pathlib import Path

import numpy as np
import pytest

from heclstm.card.preparation import Preparation
from heclstm.compiler.compile import compile_circuit
from heclstm.data.datasets import Part
from heclstm.data.prepare import prepare_all
from heclstm.data.reading import read_labels, read_volumes
from heclstm.model.calibrate import check_ranges, margins
from heclstm.model.evaluate import evaluate_model
from heclstm.model.recipe import TrainConfig
from heclstm.model.reference import forward
from heclstm.model.weights import load_model
from heclstm.program.files import load_program

FOLDER = Path(__file__).parents[2] / "examples" / "adrenal"
BREAKHIS = FOLDER.with_name("breakhis")  # without its pictures, which are not ours to pass on


@pytest.fixture(scope="module")
def model():
    return load_model(FOLDER)


@pytest.fixture(scope="module")
def part():
    return Part(read_volumes(FOLDER / "volumes.npz"), read_labels(FOLDER / "volumes.npz"))


@pytest.mark.parametrize(("folder", "source"), [(FOLDER, "MedMNIST v2"), (BREAKHIS, "BreaKHis: F. A. Spanhol")])
def test_it_comes_from_the_training_file_beside_it(folder, source):
    metadata = load_model(folder).metadata
    assert TrainConfig.from_json(metadata["training"]) == TrainConfig.from_toml(folder / "train.toml")
    assert metadata["licence"] == "CC BY 4.0"
    assert source in metadata["attribution"]


@pytest.mark.parametrize("folder", [FOLDER, BREAKHIS])
def test_the_program_beside_it_is_what_it_compiles_to(folder):
    """Every operation, level, scale and step; vectors but for the last bits, which other processors may round."""
    shipped, compiled = load_program(folder / "program").circuit, compile_circuit(load_model(folder))
    assert compiled.parameters == shipped.parameters
    assert compiled.result == shipped.result
    for ours, theirs in zip(compiled.operations, shipped.operations, strict=True):
        arrays, expected = [], []
        assert ours.to_json(arrays) == theirs.to_json(expected)
        for array, wanted in zip(arrays, expected, strict=True):
            assert np.abs(array - wanted).max() <= 2.0**-50 * np.abs(wanted).max()


def test_its_stored_figures_are_its_figures(model, part):
    stored = model.metadata["metrics"]["test"]
    measured = evaluate_model(model, part, "test").metadata["metrics"]["test"]
    for name in ("auc", "sensitivity", "specificity"):
        assert measured[name] == pytest.approx(stored[name], abs=1e-12), name
    assert stored["sequences"] == 298


def test_no_sequence_comes_near_an_overflow(model, part):
    """Limits are calibrated on other volumes, so a few of these may pass one; none may run away.

    One of 298 does pass: its hidden state reaches 1.7 times the limit.
    """
    preparation = Preparation.from_json(model.metadata["preparation"])
    values = forward(model, prepare_all(part.images, preparation))
    assert max(margins(model, values).values()) < 2
    cells, limit = np.abs(values["lstm.cell"]).max(axis=(1, 2)), model.metadata["ranges"]["lstm.cell"]["limit"]
    assert np.sum(cells > limit) <= 0.01 * len(cells)
    check_ranges(model, {"score": values["score"]})  # else a client would refuse the result


def test_squares_are_far_from_vanishing(model):
    for block in range(3):
        assert np.abs(model.arrays[f"blocks.{block}.coefficients"][:, 2]).min() >= 0.05
