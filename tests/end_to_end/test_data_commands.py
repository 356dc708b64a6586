"""The command line with pictures of other sizes and sequences of other lengths than the model's."""

import json
import re
from pathlib import Path

import pytest
import typer

import dataset_trees
from heclstm.cli.main import app
from heclstm.data.datasets import DATASETS, read_options
from heclstm.model.recipe import TrainConfig
from heclstm.model.weights import load_model, save_model

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "your-data.md").read_text()

PREPARATION = """
[preparation]
kind = "frames"
source = [3, 1, 8, 8]
resize = "crop"
colour = "grey"
length = "sample"
frames = 3
channels = 1
height = 8
width = 8

[model]
frames = 3
channels = 1
height = 8
width = 8
blocks = [{ out_channels = 4 }]
lstm = { hidden_size = 4 }

[optimization]
epochs = 2
batch_size = 4
"""


@pytest.fixture
def training_file(tmp_path):
    def write(dataset, data=""):
        path = tmp_path / "train.toml"
        path.write_text(f'dataset = "{dataset}"\n[data]\n{data}\n{PREPARATION}')
        return path

    return write


def test_from_a_folder_of_pictures_to_a_diagnosis(call, refused, training_file, tmp_path):
    pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    manifest = dataset_trees.colposcopy(tmp_path / "pictures", sequences=16)
    model, program, keys = tmp_path / "model", tmp_path / "program", tmp_path / "keys"
    query, result, diagnosis = tmp_path / "query.he", tmp_path / "result.he", tmp_path / "diagnosis.json"
    test = "--insecure-test"
    patient = tmp_path / "pictures" / "p0"  # two pictures, of three that the model takes
    points = [{"threshold": 0.0, "frames": frames} for frames in (2, 3)]

    def done(*arguments):
        code, stdout, stderr = call(*arguments)
        assert code == 0, stderr
        return stdout

    done("train", training_file("colposcopy", "seed = 2"), "--data", manifest, "-o", model)
    done("calibrate", model, "--data", manifest)
    stored = json.loads((model / "model.json").read_text())["metadata"]
    assert stored["training"]["data"] == {"seed": 2}
    # Two validation sequences tell nothing about any number of frames: none is left out, and warnings say so.
    assert [point["frames"] for point in stored["operating_points"]] == [1, 2, 3]
    save_model(load_model(model).with_metadata(operating_points=points), model)
    done("compile", model, "-o", program, "--ring-degree", 2048, test)
    done("keygen", program, "-o", keys, test)
    encrypted = json.loads(done("encrypt", program, patient, "--key", keys / "secret.key", "-o", query, test, "--json"))
    assert encrypted["frames"] == 2
    alone = tmp_path / "pictures" / "p0" / "0.png"
    code, _, stderr = call("encrypt", program, alone, "--key", keys / "secret.key", "-o", tmp_path / "q.he", test)
    assert (code, "not assessable: got 1 frame, expected 2 or 3" in stderr) == (3, True)
    assert "2 of 3" in done("encrypt", program, patient, "--key", keys / "secret.key", "-o", query, test)
    done("run", program, query, "--keys", keys / "evaluation.keys", "-o", result)
    read = ("decrypt", program, result, "--key", keys / "secret.key", test)
    assert "takes 1 to 3 frames; say how many" in refused(*read, "--without-case")
    assert "--frames: is another than the case says" in refused(*read, "--frames", 3)
    found = json.loads(done(*read, "-o", diagnosis, "--json"))
    code, stdout, _ = call(*read, "--without-case", "--frames", 1)
    assert (code, "not assessable" in stdout) == (3, True)
    assert found["contributions"][2] == [0.0]
    assert sum(row[0] for row in found["contributions"]) == pytest.approx(found["scores"][0], abs=2e-3)  # rounded
    done("report", diagnosis, "--input", patient, "-o", tmp_path / "report.html")


def test_a_synthetic_data_set_needs_no_path(call, refused, training_file, tmp_path):
    pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    config = training_file("acetowhitening", "train = 16\nvalidation = 8\ntest = 2\nsize = 12\nframes = 3")
    code, _, stderr = call("train", config, "-o", tmp_path / "model")
    assert code == 0, stderr
    assert "these images are synthetic" in stderr
    code, _, stderr = call("calibrate", tmp_path / "model")
    assert code == 0, stderr


def test_bad_files_and_options_are_refused_before_training(refused, training_file, tmp_path):
    manifest = dataset_trees.colposcopy(tmp_path / "pictures")
    (tmp_path / "pictures" / "p3" / "1.png").write_bytes(b"x")
    config = training_file("colposcopy")
    assert "files: 1 cannot be used" in refused("train", config, "--data", manifest, "-o", tmp_path / "model")
    assert "got no path, expected where its files are" in refused("train", config, "-o", tmp_path / "model")
    config = training_file("colposcopy", "fold = 'a'")
    assert "data.fold: got str, expected int" in refused("train", config, "--data", manifest, "-o", tmp_path / "model")


def test_the_guide_has_ten_commands_that_exist():
    commands = typer.main.get_command(app).commands
    lines = re.findall(r"^heclstm (.*)$", GUIDE, flags=re.MULTILINE)
    assert len(lines) == 10 + 3  # and three for many patients
    for line in lines:
        verb, *words = line.split()
        known = {name for parameter in commands[verb].params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_the_guide_names_every_kind_of_data_and_its_defaults():
    rows = dict(re.findall(r"^\| `(\w+)` \| [^\n]*? \| ([^|\n]*) \|$", GUIDE, flags=re.MULTILINE))
    assert rows.keys() >= DATASETS.keys()
    for name in DATASETS:
        options = DATASETS[name].options()
        for option, value in re.findall(r"`(\w+) = ([^`]*)`", rows[name]):
            assert read_options(name, {option: json.loads(value)}) == options, (name, option)


def test_the_guides_training_file_can_be_read():
    config = TrainConfig.from_toml(ROOT / "examples" / "colposcopy" / "train.toml")
    assert config.preparation.flexible
    assert "synthetic" in config.data["attribution"]


def test_the_guides_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
