"""`heclstm search`: the grid of a training file, what comes of its variants, and which of them is chosen."""

import json
from types import SimpleNamespace

import pytest

from heclstm.card.interval import Interval
from heclstm.errors import DivergedError, InputError, ModelError
from heclstm.model.recipe import TrainConfig
from heclstm.model.search import Search
from heclstm.usecases import search as usecase
from heclstm.usecases.events import Event, Recorded

BASE = """
dataset = "acetowhitening"
[preparation]
kind = "frames"
source = [2, 1, 8, 8]
frames = 2
channels = 1
height = 8
width = 8
[model]
frames = 2
channels = 1
height = 8
width = 8
blocks = [{ out_channels = 4, kernel = [3, 3], stride = [2, 2], padding = [1, 1], activation_degree = 2 }]
[model.cell]
kind = "diagonal"
hidden_size = 2
"""
GRID = """
[search]
folds = 3
[search.grid]
"model.cell.hidden_size" = [2, 4]
"optimization.learning_rate" = [1e-3, 2e-3, 4e-3]
"""


@pytest.fixture
def training_file(tmp_path):
    def write(grid=GRID, base=BASE):
        path = tmp_path / "train.toml"
        path.write_text(base + grid)
        return path

    return write


def test_every_combination_is_a_training_file_of_its_own(training_file):
    path = training_file()
    variants = Search.from_toml(path).variants(path, seed=7)
    found = [(each.recipe.model.cell.hidden_size, each.recipe.optimization.learning_rate) for each in variants]
    assert found == [(size, rate) for size in (2, 4) for rate in (1e-3, 2e-3, 4e-3)]
    assert [each.number for each in variants] == [1, 2, 3, 4, 5, 6]
    assert variants[4].name == "hidden_size 4, learning_rate 0.002"
    assert {each.recipe.seed for each in variants} == {7}


def test_training_passes_over_the_search(training_file):
    whole = TrainConfig.from_toml(training_file())
    assert whole == TrainConfig.from_toml(training_file(""))


def test_places_that_change_together(training_file):
    tables = ", ".join(
        f'{{ "preparation.frames" = {t}, "model.frames" = {t}, "preparation.source" = [{t}, 1, 8, 8] }}' for t in (2, 3)
    )
    path = training_file(f"[search.grid]\nframes = [{tables}]\n")
    variants = Search.from_toml(path).variants(path)
    assert [each.recipe.model.frames for each in variants] == [2, 3]
    assert variants[1].name == "frames frames 3, frames 3, source [3, 1, 8, 8]"


@pytest.mark.parametrize(
    ("grid", "told"),
    {
        "": "has no table",
        "[search]\nfolds = 1\n[search.grid]\n'a.b' = [1]\n": "search.folds: got 1, expected a whole number",
        "[search]\nfolds = 3\n": "search.grid: got {}, expected places",
        "[search]\nseeds = 3\n": "got unknown field 'seeds', expected a table of grid, folds",
        "[search.grid]\n'model.frames' = 3\n": "model.frames: got 3, expected a list",
        "[search.grid]\nframes = [3]\n": "expected a place such as 'model.frames', or tables",
        f"[search.grid]\n'a.b' = {list(range(65))}\n": "got 65 variants, expected at most 64",
        "[search.grid]\n'model.cel.size' = [3]\n": r"variant 1 .*size 3.*unknown field 'cel'",
        "[search.grid]\n'dataset.size' = [3]\n": "dataset is no table of the training file",
        "[search.grid]\n'model.frames' = [2, 3]\n": r"variant 2 \(frames 3\): .*preparation makes",
    }.items(),
)
def test_wrong_grids_are_refused(training_file, grid, told):
    path = training_file(grid)
    with pytest.raises(ModelError, match=told):
        Search.from_toml(path).variants(path)


def row(number, auc, work, half=0.02):
    costs = dict.fromkeys(usecase.COSTS, number) | {"seconds": None}
    return usecase.Row(number, f"variant {number}", {}, costs, work, Interval(auc, auc - half, auc + half))


def test_the_cheapest_within_a_standard_error_of_the_best_is_chosen(tmp_path):
    """0.02 of 95 % are 0.0102 of one standard error: 0.891 is as good as 0.9, 0.889 is not."""
    rows = (row(1, 0.9, 5.0), row(2, 0.891, 3.0), row(3, 0.889, 1.0))
    found = usecase.Searched(rows, tmp_path)
    assert (found.best.number, found.chosen.number) == (1, 2)


@pytest.fixture
def searched(monkeypatch, training_file, tmp_path):
    """(search again and again, its folder, the variants that were trained); AUC grows with the hidden size."""
    trained = []

    def cross_validated(recipe, folder, *, folds, name, resume, events, **_):
        assert folds == 3
        trained.append((folder.name, resume))
        events.note("fold-1: AUC 0.5")
        with events.stage("training fold-1") as update:
            update(1, 2)
        with events.stage("in clear") as update:
            update(1, 2)
        size = recipe.model.cell.hidden_size
        if recipe.optimization.learning_rate == 2e-3:
            raise DivergedError("training: the loss is no longer finite")
        if recipe.optimization.learning_rate == 4e-3:
            raise KeyboardInterrupt
        auc = Interval(size / 10, size / 10 - 0.05, size / 10 + 0.05)
        measures = SimpleNamespace(measures=lambda way: SimpleNamespace(auc=auc))
        return SimpleNamespace(evaluation=SimpleNamespace(pooled=measures))

    monkeypatch.setattr(usecase, "cross_validate", cross_validated)
    events, folder = Recorded(), tmp_path / "runs"

    def run(grid=GRID, **options):
        return usecase.search(training_file(grid), folder, events=events, **options)

    return run, folder, trained, events


TWO = GRID.replace(", 4e-3]", "]")


def test_a_variant_that_diverges_is_left_out_and_costs_are_those_of_compile(searched):
    run, folder, trained, events = searched
    found = run(TWO)
    assert [name for name, _ in trained] == ["variant-1", "variant-2", "variant-3", "variant-4"]
    assert [each.auc is None for each in found.rows] == [False, True, False, True]
    assert found.chosen.number == found.best.number == 3
    assert events.notes[1].startswith("variant 2 of 4: hidden_size 2, learning_rate 0.002: is left out: training: the")
    assert len(events.notes) == 4  # one line each
    assert Event("progress", "variant 1", 0.5, 3) in events.events
    assert [event.text for event in events.events if event.done].count("variant 1") == 1
    written = json.loads((folder / "search.json").read_text())
    assert written["variants"] == found.to_json()["variants"]
    assert written["variants"][0]["costs"]["depth"] == 4  # convolution, square, projection, vote
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")


def test_a_stopped_search_goes_on_where_it_was(searched):
    run, folder, trained, events = searched
    with pytest.raises(KeyboardInterrupt):
        run()  # in the third variant
    (folder / "variant-3" / "fold-1").mkdir(parents=True)
    (folder / "variant-3" / "fold-1" / "checkpoint.safetensors").touch()
    with pytest.raises(ModelError, match="holds an earlier search; add --resume"):
        run()
    with pytest.raises(ModelError, match="holds another search; choose another folder"):
        run(TWO, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(resume=True)
    assert trained == [("variant-1", False), ("variant-2", False), ("variant-3", False), ("variant-3", True)]


def test_there_is_nothing_to_resume_in_an_empty_folder(searched):
    with pytest.raises(ModelError, match="holds no search to resume"):
        searched[0](resume=True)


def test_a_variant_that_cannot_run_encrypted_is_not_trained(searched):
    run, _, trained, _ = searched
    degrees = (
        '[search]\nfolds = 3\n[search.grid]\n"model.cell.hidden_size" = [2]\n"model.cell.gates" = ["none", "both"]\n'
    )
    found = run(degrees + '"model.cell.gate_degree" = ["exact"]\n"optimization.learning_rate" = [1e-3]\n')
    assert [name for name, _ in trained] == ["variant-1"]  # without gates there is nothing that is not exact
    assert "expected polynomials" in found.rows[1].trouble


def test_a_fold_is_not_divided_again(searched, training_file):
    path = training_file(GRID, BASE + "[data]\nfolds = 3\n")
    with pytest.raises(InputError, match="chooses a fold already"):
        usecase.search(path, searched[1])


def test_what_is_wrong_with_files_is_told_at_once(monkeypatch, training_file, tmp_path):
    def missing(*_, **__):
        raise InputError("no such folder")

    monkeypatch.setattr(usecase, "cross_validate", missing)
    with pytest.raises(InputError, match="no such folder"):
        usecase.search(training_file(), tmp_path / "runs")


def test_where_no_variant_can_be_measured_the_first_reason_is_told(monkeypatch, training_file, tmp_path):
    def diverges(*_, name, **__):
        raise ModelError(f"{name}: no fold could be trained")

    monkeypatch.setattr(usecase, "cross_validate", diverges)
    with pytest.raises(ModelError, match="no variant could be measured; hidden_size 2, .*: variant 1: no fold"):
        usecase.search(training_file(TWO), tmp_path / "runs")
