"""`heclstm evaluate`: the same scores in clear, simulated and encrypted; folds; the page; what it refuses."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from heclstm.card.preparation import Preparation
from heclstm.model.reference import forward
from heclstm.model.weights import load_model, save_model
from heclstm.usecases.scoring import Ways, clear_scores, encrypted_scores, simulated_scores, spread
from heclstm.usecases.subject import read_subject
from random_models import random_frames, random_model, small_config

SEQUENCES = 24


@pytest.fixture(scope="module")
def model(site):
    """The model that the program of `site` was compiled from."""
    return site.program.parent / "model"


@pytest.fixture(scope="module")
def scores(model):
    frames = random_frames(small_config(), SEQUENCES, seed=3).astype(np.float32)
    return forward(load_model(model), frames)["score"][:, 0]


@pytest.fixture(scope="module")
def data(scores, tmp_path_factory):
    """Random frames; the label is the score's side of the median, four of them turned around."""
    path = tmp_path_factory.mktemp("data") / "volumes.npz"
    labels = (scores > np.median(scores)).astype(np.uint8)
    labels[::6] ^= 1
    np.savez(path, images=random_frames(small_config(), SEQUENCES, seed=3).astype(np.float32), labels=labels)
    return path


def evaluated(call, *arguments):
    code, stdout, stderr = call("evaluate", *arguments, "--json")
    assert code == 0, stderr
    return json.loads(stdout)


def test_three_ways_to_the_same_scores(call, site, model, data, scores, tmp_path):
    """Errors are at most 4 times what the simulator draws: 8 encrypted and 24 simulated ones know their root mean
    square well enough for that (F of 8 and 24 degrees of freedom passes 16 once in 10⁷). Keys are made anew."""
    ways = ("--simulated", "--encrypted", 8, "--insecure-test")
    found = evaluated(call, model, "--data", data, "--program", site.program, *ways)
    rows = found["scores"]
    assert [row["clear"] for row in rows] == pytest.approx(scores.tolist(), abs=1e-12)
    asked = [row["row"] for row in rows if "encrypted" in row]
    assert asked == spread(np.load(data)["labels"], 8).tolist()
    compared = found["agreement"]
    assert compared["encrypted"]["sequences"] == 8
    assert compared["simulated"]["sequences"] == SEQUENCES
    assert compared["encrypted"]["worst_error"] <= 4 * compared["simulated"]["worst_error"]
    assert found["error_over_simulated"] <= 4
    assert compared["simulated"]["decisions_agree"] == SEQUENCES
    assert found["refused"] == 0
    assert found["security"] == "INSECURE_TEST"


def test_a_program_without_its_model_is_its_own_reference(call, site, data, scores):
    """Model and program on clear slots agree to 1e-9, as everywhere."""
    found = evaluated(call, site.program, "--data", data)
    assert [row["clear"] for row in found["scores"]] == pytest.approx(scores.tolist(), abs=1e-9)
    assert "votes" not in found


def test_under_keys_that_are_used_again_scores_are_rounded(call, site, data):
    """As a hospital's: whoever reads the figures of an evaluation must not learn the secret key."""
    ways = ("--encrypted", 1, "--keys", site.keys.parent, "--insecure-test")
    found = evaluated(call, site.program, "--data", data, *ways)
    scores = [row["encrypted"] for row in found["scores"] if "encrypted" in row]
    assert scores == [round(score, 3) for score in scores]
    assert found["agreement"]["encrypted"]["sequences"] == len(scores) == 1


def test_calibrate_then_a_page(call, model, data, tmp_path):
    calibrated, page = tmp_path / "model", tmp_path / "page.html"
    code, stdout, stderr = call("calibrate", model, "--data", data, "-o", calibrated, "--json")
    assert code == 0, stderr
    temperature = json.loads(stdout)["temperature"]
    assert temperature["temperature"] > 0
    assert temperature["fitted_on"] == "calibration"
    assert load_model(calibrated).metadata["temperature"] == temperature
    before, after = load_model(model), load_model(calibrated)
    assert all((before.arrays[name] == after.arrays[name]).all() for name in before.arrays)
    code, stdout, stderr = call("evaluate", calibrated, "--data", data, "--simulated", "-o", page)
    assert code == 0, stderr
    for word in ("AUC", "missed diagnoses", "decisions agree with clear", "page.html"):
        assert word in stdout
    text = page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert text.count("<svg ") == 8
    assert text.count("data:image/png;base64,") > 1
    assert not any(link in text.replace("url(#", "") for link in ("http:", "https:", "<script", "url("))


def test_several_models_are_folds(call, model, data, tmp_path):
    code, stdout, stderr = call("evaluate", model, model, "--data", data)
    assert code == 0, stderr
    assert "pooled" in stdout
    found = evaluated(call, model, model, "--data", data)
    assert [fold["name"] for fold in found["folds"]] == ["model", "model (2)"]
    assert found["pooled"]["clear"]["missed"] == 2 * found["folds"][0]["measures"]["clear"]["missed"]
    assert call("evaluate", model, "--data", data, "-o", tmp_path / "figures.json")[0] == 0
    assert json.loads((tmp_path / "figures.json").read_text())["sequences"] == SEQUENCES


def test_rows_are_spread_over_both_outcomes():
    labels = np.repeat([0, 1], [75, 25])
    rows = spread(labels, 8)
    assert len(set(rows.tolist())) == 8
    assert labels[rows].sum() == 2
    assert spread(labels, 1000).tolist() == list(range(100))


def test_what_it_refuses(refused, site, model, data, tmp_path):
    given = ("--data", data)
    assert "got 'holdout', expected one of train" in refused("evaluate", model, *given, "--split", "holdout")
    assert "expected .html or .json" in refused("evaluate", model, *given, "-o", tmp_path / "page.pdf")
    assert "got 2 models, expected one" in refused("evaluate", model, model, *given, "--encrypted", 1)
    assert "belongs to --encrypted" in refused("evaluate", model, *given, "--keys", site.keys.parent)
    assert "neither model.json nor program.json" in refused("evaluate", data.parent, *given)
    assert "the data set is not known" in refused("evaluate", model, "--data", site.images)
    assert "no --data was given" in refused("evaluate", model)


def test_a_program_of_another_model_is_refused(refused, compiled, model, data):
    other = compiled(2)
    assert "compiled from another model" in refused("evaluate", model, "--data", data, "--program", other)


def test_a_model_without_an_operating_point_is_refused(refused, data, tmp_path):
    save_model(random_model(small_config(), 1), tmp_path / "bare")
    assert "has no operating point" in refused("evaluate", tmp_path / "bare", "--data", data)


@pytest.mark.parametrize("verb", ["evaluate", "calibrate", "compile", "inspect"])
def test_several_classes_are_refused(refused, model, data, tmp_path, verb):
    """A model file says how many, and every verb that reads one refuses more than one score with the same words."""
    shutil.copytree(model, tmp_path / "several")
    path = tmp_path / "several" / "model.json"
    document = json.loads(path.read_text())
    document["config"]["classes"] = 3
    path.write_text(json.dumps(document))
    arguments = {"evaluate": ("--data", data), "calibrate": ("--data", data), "compile": ("-o", tmp_path / "program")}
    assert "classes: got 3, expected 1" in refused(verb, tmp_path / "several", *arguments.get(verb, ()))


def test_padding_gets_no_vote_in_any_way(call, tmp_path):
    """A model that takes shorter sequences: what stands in padded frames changes no score, encrypted or not."""
    preparation = Preparation("frames", (3, 2, 8, 8), frames=3, channels=2, height=8, width=8, length="pad")
    kept = random_model(small_config(), 1).with_metadata(
        preparation=preparation.to_json(), operating_point={"threshold": 0.25}
    )
    save_model(kept, tmp_path / "model")
    options = ("--ring-degree", 1 << 11, "--insecure-test")
    assert call("compile", tmp_path / "model", "-o", tmp_path / "program", *options)[0] == 0
    subject = read_subject(tmp_path / "model", tmp_path / "program")
    frames = random_frames(small_config(), 3, seed=5).astype(np.float32)
    mask = np.arange(3) < np.array([[2], [3], [1]])
    clear = clear_scores(subject, frames, mask, nothing)[0]
    changed = np.where(mask[:, :, None, None, None], frames, 0.5).astype(np.float32)
    assert clear_scores(subject, changed, mask, nothing)[0] == pytest.approx(clear, abs=1e-12)
    alone = replace(subject, model=None)
    assert clear_scores(alone, frames, mask, nothing)[0] == pytest.approx(clear, abs=1e-9)
    many = np.repeat(frames, 64, axis=0), np.repeat(mask, 64, axis=0)
    predicted = np.sqrt(np.mean((simulated_scores(subject, *many, nothing) - np.repeat(clear, 64)) ** 2))
    encrypted, refused = encrypted_scores(subject, changed, mask, np.arange(3), Ways(allow_insecure=True), nothing)
    assert refused == 0
    # Four standard deviations, of a noise model that holds to a factor of two.
    assert np.abs(encrypted - clear).max() <= 8 * predicted


def test_every_model_is_measured_by_number_of_frames(call, data, tmp_path):
    """Not the first alone: an ensemble may hold one that needs all frames."""
    preparation = Preparation("frames", (3, 2, 8, 8), frames=3, channels=2, height=8, width=8, length="pad")
    points = [{"threshold": 0.0, "frames": frames} for frames in (2, 3)]
    for seed in (1, 2):
        kept = random_model(small_config(), seed).with_metadata(
            preparation=preparation.to_json(), operating_points=points
        )
        save_model(kept, tmp_path / f"model-{seed}")
    models = tmp_path / "model-1", tmp_path / "model-2"
    each = [evaluated(call, model, "--data", data)["by_frames"] for model in models]
    together = evaluated(call, *models, "--data", data)["by_frames"]
    assert [(row["model"], row["frames"]) for row in each[0]] == [("", 1), ("", 2), ("", 3)]
    assert together == [{**row, "model": model.name} for model, rows in zip(models, each, strict=True) for row in rows]
    code, stdout, stderr = call("evaluate", *models, "--data", data, "-o", tmp_path / "e.html")
    assert code == 0, stderr
    assert stdout.count("model-2") >= 3
    assert "<th>Model</th>" in (tmp_path / "e.html").read_text()


def nothing(done, total):
    pass


def test_report_shows_a_model_as_evaluate_does(call, refused, model, data, tmp_path):
    assert call("evaluate", model, "--data", data, "-o", tmp_path / "evaluate.html")[0] == 0
    code, stdout, stderr = call("report", model, "--data", data, "-o", tmp_path / "report.html")
    assert code == 0, stderr
    assert "report.html" in stdout
    pages = [(tmp_path / name).read_text() for name in ("evaluate.html", "report.html")]
    # the same page but for how long it took, which stands in its foot
    assert len(pages[0]) == pytest.approx(len(pages[1]), rel=0.01)
    assert "confusion" in pages[1].lower()
    assert "--input: belongs to a diagnosis" in refused("report", model, "--input", data, "-o", tmp_path / "a.html")
    assert "expected .html" in refused("report", model, "--data", data, "-o", tmp_path / "a.png")
