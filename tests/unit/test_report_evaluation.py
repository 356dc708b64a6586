"""The page of an evaluation: whole, self-contained, without a patient's name; and the sequences that it shows."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from colours import STYLE, contrast, mixed, palettes
from heclstm.card.temperature import Temperature
from heclstm.model.evaluate import Fold
from heclstm.report import charts, charts_inside
from heclstm.report.evaluation import Evaluation, Inside
from heclstm.report.evaluation_page import evaluation_page
from heclstm.report.examples import choose
from heclstm.report.vector import VARIABLES

FRAMES = np.random.default_rng(1).random((40, 3, 1, 8, 8)).astype(np.float32)


@pytest.fixture
def evaluation():
    rng = np.random.default_rng(0)
    labels = np.arange(40) // 2 % 2
    clear = rng.normal(2.0 * labels - 1, 1.0)
    encrypted = np.where(np.arange(40) < 10, clear + rng.normal(0, 1e-4, 40), np.nan)
    scores = {"clear": clear, "simulated": clear + rng.normal(0, 1e-4, 40), "encrypted": encrypted}
    patients = np.array([f"Jane Doe {row // 2}" for row in range(40)])
    contributions = np.stack([0.2 * clear, 0.5 * clear, 0.3 * clear], axis=1)
    inside = Inside(
        {"blocks.0": 0.1, "score": 1.2}, {"blocks.0": 0, "score": 1}, np.array([0.2, 0.3, 0.5]), 0.4, contributions
    )
    return Evaluation(
        (Fold("model", labels, scores, 0.25, patients),),
        "test",
        dataset="Glands & <others>",
        temperatures=(Temperature(0.8, -0.1),),
        inside=inside,
        model="ab" * 32,
    )


def pictures(page):
    return [b64decode(content) for content in re.findall(r'base64,([^"]+)"', page)]


def test_the_page_needs_nothing_else(evaluation):
    page = evaluation_page(evaluation, FRAMES, None)
    assert not any(link in page.replace("url(#", "") for link in ("http:", "https:", "<script", "url(", "Jane"))
    assert "Glands &amp; &lt;others&gt;" in page
    # ROC, confusion, distribution, calibration; errors; votes, ranges; sequences, with images in them
    assert page.count("<svg ") == page.count("</svg>") == page.count('role="img"') == 4 + 1 + 2 + 1
    assert page.count("<figure>") == page.count("</figure>") == 7 + 1
    shown = [Image.open(BytesIO(picture)) for picture in pictures(page)]
    assert len(shown) >= 4  # the frames; all else follows the style, also where it is dark
    assert all(each.format == "PNG" for each in shown)
    assert "<img" not in page
    for text in ("AUC", "Missed diagnoses", "95 % intervals", "not a medical device", "1 of 40 sequences leave"):
        assert text in page


def test_what_is_not_known_is_not_shown(evaluation):
    bare = replace(evaluation, inside=None, temperatures=())
    bare = replace(bare, folds=(replace(bare.folds[0], scores={"clear": bare.folds[0].scores["clear"]}),))
    page = evaluation_page(bare, FRAMES, None)
    assert (page.count("<svg "), pictures(page)) == (4, [])
    assert "carries no temperature" in page
    assert bare.to_json()["probability"] is None
    assert bare.over_simulated is None


def test_one_outcome_gives_a_page_without_rates(evaluation):
    fold = evaluation.folds[0]
    page = evaluation_page(replace(evaluation, folds=(replace(fold, labels=np.ones(40, int)),)), FRAMES, None)
    assert "All sequences have the same label" in page


def test_folds_stand_beside_the_pooled_figures(evaluation):
    fold = evaluation.folds[0]
    two = replace(
        evaluation, folds=(fold, replace(fold, name="second")), temperatures=(Temperature(0.8, -0.1), Temperature(0.9))
    )
    page = evaluation_page(two, FRAMES, None)
    assert all(f"<td>{name}</td>" in page for name in ("model", "second", "pooled"))
    data = two.to_json()
    assert [row["name"] for row in data["folds"]] == ["model", "second"]
    assert len(data["scores"]) == 80


def test_the_figures_are_plain_json_without_names(evaluation):
    data = evaluation.to_json()
    text = json.dumps(data, allow_nan=False)
    assert "Jane" not in text
    assert (data["sequences"], data["patients"]) == (40, 20)
    assert data["agreement"]["encrypted"]["sequences"] == 10
    assert data["error_over_simulated"] == pytest.approx(evaluation.over_simulated)
    assert data["ranges"]["score"] == {"largest": 1.2, "outside": 1}
    assert "encrypted" not in data["scores"][20]
    assert set(data["probability"]) == {"calibration_error", "log_loss", "brier"}


def test_the_shown_sequences_are_the_extremes():
    labels, clear = np.array([1, 1, 1, 0, 0, 0]), np.array([2.0, 3.0, -1.0, 1.0, -2.0, -3.0])
    chosen = choose(Fold("x", labels, {"clear": clear}, 0.0))
    assert [example.row for example in chosen] == [1, 2, 3, 5]
    assert [example.positive for example in chosen] == [True, False, True, False]
    perfect = choose(Fold("x", labels, {"clear": 2.0 * labels - 1}, 0.0))
    assert [example.title.split(":")[0] for example in perfect] == ["Found", "Cleared"]


CHARTS = [charts.roc, charts.scores, charts.calibration, charts_inside.errors]


@pytest.mark.parametrize("draw", CHARTS)
def test_charts_have_the_size_that_they_say(evaluation, draw):
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', draw(evaluation)).groups())
    wanted = (2 * charts.HALF[0], 3.6) if draw is charts_inside.errors else charts.HALF
    assert (width, height) == pytest.approx(tuple(72 * side for side in wanted))  # 72 points in an inch


def test_charts_have_the_colours_of_their_page(evaluation):
    """They were white where the page was dark."""
    light = palettes()[0]
    assert all(light[name.removeprefix("--")] == colour for colour, name in VARIABLES.items() if colour != "#000000")
    measures, inside = evaluation.pooled.measures("clear"), evaluation.inside
    drawn = [draw(evaluation) for draw in CHARTS] + [charts.confusion(measures), charts_inside.ranges(inside)]
    drawn.append(charts_inside.votes(inside, evaluation.folds[0].labels))
    known = set(re.findall(r"(--[a-z-]+):", STYLE.read_text()))
    for chart in drawn:
        assert not re.search("#[0-9a-f]{6}|white|black", chart)
        assert {"--ink"} < set(re.findall(r"var\((--[a-z-]+)\)", chart)) <= known
        assert not re.search(r"<style|<metadata|<!--|xmlns| id=\"\w+_\d", chart)
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', chart)) <= {
            pair for name in re.findall(r' id="([^"]+)"', chart) for pair in ((name, ""), ("", name))
        }
    assert charts.roc(evaluation) == drawn[0]  # the same in every run


def test_words_on_the_cells_of_a_confusion_matrix_can_be_read():
    """A cell is mixed with what is behind it."""
    deepest = 0.06 + 0.4
    for colours in palettes():
        for name in ("raises", "lowers"):
            ground = mixed(colours[name], colours["paper"], deepest)
            assert contrast(colours["ink"], ground) >= 4.5, (name, colours)
        assert contrast(colours["ink"], colours["rule"]) >= 4.5  # numbers in bars
