"""Several models, each on its own part: their AUC by fold, warnings, what is lost with one of them, and what is not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from heclstm.card.operating_point import OperatingPoint
from heclstm.errors import DivergedError, ModelError, RangeError
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.evaluate import Fold, agreement, point_of_all, pool, small_classes
from heclstm.model.intervals import delong
from heclstm.model.metrics import area_under_curve
from heclstm.report.evaluation import Evaluation
from heclstm.report.evaluation_page import evaluation_page
from heclstm.usecases import train as usecase
from heclstm.usecases.evaluate import Evaluated, _worst
from heclstm.usecases.events import Recorded
from tiny_training import CONFIG

RNG = np.random.default_rng(0)


def fold(name, count, shift=0.0, threshold=0.0, signal=1.0):
    labels = np.arange(count) % 2
    return Fold(name, labels, {"clear": signal * labels + RNG.normal(size=count) + shift}, threshold)


# ── the figure ─────────────────────────────────────────────────────────────────────────────────────────────


def test_one_fold_has_the_interval_of_delong():
    one = fold("a", 60)
    scores, labels = one.outcomes("clear")
    expected = delong(scores[labels == 1], scores[labels == 0])
    found = auc_by_fold([(scores, labels)])
    for name in ("value", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-14)


def test_folds_count_by_their_pairs():
    """By hand: AUC 1 of 1·1 pairs and AUC 1/4 of 2·2, so (1 + 4/4) / 5; a fold with one outcome has none."""
    found = auc_by_fold(
        [
            (np.array([2.0, 1.0]), np.array([1, 0])),
            (np.array([0.0, 2.0, 1.0, 3.0]), np.array([1, 1, 0, 0])),
            (np.array([5.0, 6.0]), np.array([1, 1])),
        ]
    )
    assert found.value == pytest.approx(2 / 5)


def test_without_a_pair_there_is_no_figure():
    with pytest.raises(ModelError, match="got one outcome in each of them"):
        auc_by_fold([(np.array([1.0, 2.0]), np.array([1, 1]))])
    assert pool([fold("a", 1), fold("b", 1)]).auc("clear") is None


def test_the_interval_covers_what_it_should():
    """95 % of 400 draws of three small folds: 380 ± 4.4; four standard deviations, and room for a bias."""
    rng = np.random.default_rng(1)
    labels, truth, hits = np.arange(40) % 2, 0.7602, 0  # Φ(1/√2)
    for _ in range(400):
        drawn = [(labels + rng.normal(size=40) + rng.normal() * 5, labels) for _ in range(3)]
        found = auc_by_fold(drawn)
        hits += found.low <= truth <= found.high
    assert 350 <= hits <= 397


def test_models_with_other_scales_do_not_spoil_it():
    """What pooling did: operating points of a handful of patients shift all scores of a fold."""
    folds = [replace(fold(str(k), 200), threshold=8.0 * k) for k in range(3)]  # scores are alike, thresholds are not
    pooled = pool(folds)
    shifted = area_under_curve(*pooled.outcomes("clear"))
    found = pooled.measures("clear").auc
    assert shifted < 0.65
    assert found.value > 0.7
    assert found.value == pytest.approx(np.mean([each.measures("clear").auc.value for each in folds]), abs=1e-12)


def test_decisions_are_those_of_each_model_added_up():
    folds = [fold("a", 30, shift=5.0, threshold=5.5), fold("b", 50, threshold=0.5)]
    found, each = pool(folds).measures("clear"), [one.measures("clear") for one in folds]
    for name in ("true_positives", "missed", "true_negatives", "false_alarms"):
        assert getattr(found, name) == sum(getattr(one, name) for one in each)


def test_a_difference_of_ways_is_by_fold_too():
    """Encrypted scores that are the clear ones differ by nothing, whatever the thresholds."""
    folds = [fold("a", 30, threshold=3.0), fold("b", 50, threshold=-3.0)]
    both = [replace(each, scores={**each.scores, "encrypted": each.scores["clear"].copy()}) for each in folds]
    both[0].scores["encrypted"][4:] = np.nan  # taken for some only
    assert agreement(pool(both), "encrypted").auc_difference == 0


def test_an_operating_point_is_chosen_on_all_out_of_fold_scores():
    folds = [fold("a", 40), fold("b", 60)]
    point = point_of_all(folds, 0.9)
    scores = np.concatenate([each.scores["clear"] for each in folds])
    labels = np.concatenate([each.labels for each in folds])
    assert point.chosen_on == "out-of-fold scores"
    assert (point.positives, point.negatives) == (50, 50)
    assert np.mean(scores[labels == 1] >= point.threshold) == 0.9
    assert point_of_all([Fold("a", np.ones(3, int), {"clear": np.zeros(3)}, 0.0)], 0.9) is None


def test_few_cases_of_a_class_are_told():
    found = small_classes([fold("a", 40), fold("b", 18)])
    assert found == [
        f"b: only 9 {what} patients; figures of fewer than 10 say little" for what in ("positive", "negative")
    ]


# ── what is written ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def evaluation():
    first = replace(fold("fold-1", 40), names=tuple(f"series {row}" for row in range(40)))
    return Evaluation(
        (first, fold("fold-2", 12)), "test", operating_point=OperatingPoint(0.5, 0.9), remarks=("fold-3: is left out",)
    )


def test_figures_name_sequences_and_warnings(evaluation):
    data = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert data["scores"][3]["name"] == "series 3"
    assert "name" not in data["scores"][40]
    assert data["remarks"][0] == "fold-3: is left out"
    assert data["remarks"][1].startswith("fold-2: only 6 positive patients")
    assert data["operating_point_of_all_folds"]["chosen_on"] == "out-of-fold scores"
    assert data["pooled"]["clear"]["auc"] == evaluation.pooled.auc("clear").to_json()
    one = replace(evaluation, folds=evaluation.folds[:1])
    assert one.to_json()["operating_point_of_all_folds"] is None


def test_the_page_says_the_same(evaluation):
    page = evaluation_page(evaluation, np.zeros((40, 2, 1, 4, 4), np.float32), None)
    for text in (
        "fold-3: is left out",
        "fold-2: only 6 positive",
        "chosen on the scores of all folds",
        "by their pairs",
    ):
        assert text in page


# ── one bad fold, one bad patient ──────────────────────────────────────────────────────────────────────────


def cross_validated(monkeypatch, tmp_path, what_happens):
    """(result, what was told) of three folds; what_happens(number) raises or returns."""

    def trained(recipe, data, folder, events):
        what_happens(recipe.data["fold"])

    def measured(folder, data, events):
        found = Evaluation((fold(folder.name, 40),), "test", operating_point=OperatingPoint(0.5, 0.9))
        return Evaluated(found, np.zeros((40, 2, 1, 4, 4), np.float32), CONFIG.preparation)

    monkeypatch.setattr(usecase, "_trained", trained)
    monkeypatch.setattr(usecase, "_check_folds", lambda *_: None)
    monkeypatch.setattr(usecase, "evaluate_fold", measured)
    events = Recorded()
    return usecase.cross_validate(CONFIG, tmp_path / "runs", folds=3, name="recipe.toml", events=events), events.notes


@pytest.mark.parametrize("error", [DivergedError, RangeError])
def test_one_bad_fold_is_told_and_the_others_stand(monkeypatch, tmp_path, error):
    def second_fails(number):
        if number == 2:
            raise error("the loss is no longer finite")

    found, notes = cross_validated(monkeypatch, tmp_path, second_fails)
    assert [each.name for each in found.evaluation.folds] == ["fold-1", "fold-3"]
    assert found.evaluation.remarks == ("fold-2: is left out: the loss is no longer finite",)
    assert [note.split(":")[0] for note in notes] == ["fold-1", "warning", "fold-3"]  # each as it ends
    assert "20 positive of 40" in notes[0]
    assert "fold-2: is left out" in (tmp_path / "runs" / "cross-validation.html").read_text()
    assert json.loads((tmp_path / "runs" / "cross-validation.json").read_text())["remarks"]


def test_without_any_fold_there_is_no_result(monkeypatch, tmp_path):
    def fails(number):
        raise DivergedError(f"fold {number} diverged")

    with pytest.raises(ModelError, match="recipe.toml: no fold could be trained; fold-1: is left out: fold 1 diverged"):
        cross_validated(monkeypatch, tmp_path, fails)


def test_other_errors_are_not_swallowed(monkeypatch, tmp_path):
    def fails(number):
        raise ModelError("fold 2 holds the checkpoint of another training file")

    with pytest.raises(ModelError, match="checkpoint of another"):
        cross_validated(monkeypatch, tmp_path, fails)


def test_a_score_that_overflows_counts_as_wrong():
    """A positive below all others, a negative above: never to the model's advantage, and the rest stands."""
    scores = np.array([0.5, np.inf, -1.0, np.nan])
    found = _worst(scores, np.array([1, 1, 0, 0]))
    assert found.tolist() == [0.5, -2.0, -1.0, 1.5]
