"""The committed run of the shipped program on all test volumes says what its summary says, and is of this model."""

import json
from pathlib import Path

import numpy as np
import pytest

from heclstm.card.preparation import Preparation
from heclstm.data.prepare import prepare_all
from heclstm.data.reading import read_labels, read_volumes
from heclstm.model.evaluate import Fold, agreement
from heclstm.model.reference import forward
from heclstm.model.weights import load_model

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "adrenal"


@pytest.fixture(scope="module")
def results():
    return json.loads((ROOT / "experiments" / "results" / "encrypted_adrenal.json").read_text())


@pytest.fixture(scope="module")
def fold(results):
    volumes = results["volumes"]
    scores = {way: np.array([row[way] for row in volumes]) for way in ("clear", "simulated", "encrypted")}
    labels = np.array([row["label"] for row in volumes])
    return Fold("test", labels, scores, results["parameters"]["threshold"])


def test_clear_scores_are_those_of_the_shipped_model(results, fold):
    """A model that was trained again needs another run. Sums of floats in another order: 1e-9."""
    model = load_model(EXAMPLE)
    frames = prepare_all(read_volumes(EXAMPLE / "volumes.npz"), Preparation.from_json(model.metadata["preparation"]))
    assert fold.scores["clear"] == pytest.approx(forward(model, frames)["score"][:, 0], abs=1e-9)
    assert fold.labels.tolist() == read_labels(EXAMPLE / "volumes.npz").tolist()
    assert fold.threshold == pytest.approx(model.metadata["operating_point"]["threshold"], abs=1e-12)
    assert results["parameters"]["security"] == "128"


@pytest.mark.parametrize("way", ["clear", "simulated", "encrypted"])
def test_the_summary_follows_from_the_scores(results, fold, way):
    stored, made = flat(results["measures"][way]), flat(fold.measures(way).to_json())
    assert stored == pytest.approx(made, abs=1e-12)


def flat(values):
    return {
        f"{name}.{key}": number
        for name, value in values.items()
        for key, number in (value if isinstance(value, dict) else {"": value}).items()
    }


def test_encryption_changes_neither_auc_nor_decisions(results, fold):
    """Wanted: AUC within 0.002, 99.5 % of decisions; and errors as the noise model predicts them, within two."""
    found = agreement(fold, "encrypted")
    assert found.sequences == len(fold.labels) == 298
    assert abs(found.auc_difference) <= 0.002
    assert found.decisions_agree / found.sequences >= 0.995
    assert results["decisions_agree"]["count"] == found.decisions_agree
    assert results["error"]["worst"] == found.worst_error
    assert 0.5 <= results["error"]["over_simulated"] <= 2
    assert results["error"]["over_simulated"] == pytest.approx(
        found.rms_error / agreement(fold, "simulated").rms_error, rel=1e-12
    )


def test_contributions_sum_to_their_score(results):
    """Both are decrypted from the same ciphertext, each with an error of its own."""
    drift = [abs(sum(row["contributions"]) - row["encrypted"]) for row in results["volumes"]]
    assert max(drift) <= 4 * results["error"]["worst"]
