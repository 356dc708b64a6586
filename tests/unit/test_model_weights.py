"""Models as files: what is saved is what is loaded, and nothing else is accepted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from heclstm.errors import DigestError, FileFormatError, ModelError
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.weights import Model, expected_shapes, load_model, save_model

CONFIG = ModelConfig(2, 2, 8, 8, (BlockConfig(4), BlockConfig(6, activation_degree=3)), LstmConfig(5))


def random_model(config=CONFIG, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape) for name, shape in expected_shapes(config).items()}
    arrays["weighted_unit.alpha"] = rng.uniform(0.1, 0.9, 1)
    return Model(config, arrays, {"operating_point": {"threshold": 0.1}, "note": "ä"})


@pytest.fixture
def folder(tmp_path):
    save_model(random_model(), tmp_path)
    return tmp_path


def test_a_model_survives_the_files(folder):
    model, loaded = random_model(), load_model(folder)
    assert loaded.config == model.config
    assert loaded.metadata == model.metadata
    assert loaded.digest == model.digest
    assert all(np.array_equal(loaded.arrays[name], array) for name, array in model.arrays.items())
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_arrays_cannot_be_changed_behind_the_digest():
    with pytest.raises(ValueError, match="read-only"):
        random_model().arrays["vote.weight"][0] = 1.0


def test_which_arrays_a_model_has_depends_on_its_configuration():
    assert expected_shapes(CONFIG)["blocks.1.coefficients"] == (6, 4)
    assert expected_shapes(CONFIG)["lstm.gate_coefficients"] == (4, 2)
    exact = replace(CONFIG, cell=LstmConfig(5, None, recurrent_gates=False, cell_output="tanh"))
    names = expected_shapes(replace(exact, blocks=(BlockConfig(4, activation_degree=None),)))
    absent = {
        "blocks.0.coefficients",
        "lstm.recurrent_weight",
        "lstm.gate_coefficients",
        "lstm.cell_output_coefficients",
    }
    assert absent.isdisjoint(names)


def test_metadata_is_part_of_the_digest():
    assert random_model().digest != random_model().with_metadata(note="b").digest


@pytest.mark.parametrize("preparation", [3, "pad", ["pad"], {"length": "exact"}, {}])
def test_a_model_is_made_whatever_its_metadata_calls_a_preparation(preparation):
    """Who reads it checks it; here only padding matters, and none of these asks for it."""
    assert random_model().with_metadata(preparation=preparation).metadata["preparation"] == preparation


def _with(name, array):
    return lambda: Model(CONFIG, {**random_model().arrays, name: array})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_with("vote.weight", np.zeros(3)), r"vote.weight: got shape \(3,\), expected \(2,\)"),
        (_with("vote.weight", np.zeros(2, np.float32)), r"vote.weight: got dtype float32, expected float64"),
        (_with("lstm.bias", np.full(20, np.nan)), r"lstm.bias: got 20 values that are not finite"),
        (_with("weighted_unit.alpha", np.array([1.0])), r"alpha: got a value outside \(0, 1\)"),
        (_with("lstm.peephole", np.zeros(5)), r"missing none, not expected \['lstm.peephole'\]"),
        (lambda: Model(CONFIG, {}), r"missing \['blocks.0.weight', "),
    ],
)
def test_arrays_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()


def _edit(folder, **changes):
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(document | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"format": "onnx"}, FileFormatError, "expected format 'heclstm-model'"),
        ({"version": 2}, FileFormatError, "got version 2, expected 1; update heclstm"),
        ({"digest": None}, FileFormatError, "field 'digest' is missing or not of type str"),
        ({"metadata": []}, FileFormatError, "field 'metadata' is missing or not of type dict"),
        ({"digest": "0" * 64}, DigestError, "names digest 000000000000…, model.safetensors"),
        ({"metadata": {"operating_point": 1}}, DigestError, "the model was altered after it was saved"),
        ({"config": {}}, ModelError, "ModelConfig: expected one table, cell"),
    ],
)
def test_altered_documents_are_refused(folder, changes, error, message):
    _edit(folder, **changes)
    with pytest.raises(error, match=message):
        load_model(folder)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"model.json: cannot be read \(No such file"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_truncated_files_are_refused(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match=f"{name}: (is no|not)"):
        load_model(folder)


def test_oversized_files_are_refused_before_they_are_parsed(folder):
    with (folder / "model.safetensors").open("ab") as file:
        file.write(bytes(300_000))
    with pytest.raises(FileFormatError, match=r"larger than \d+ bytes"):
        load_model(folder)


def test_one_changed_number_is_noticed(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises((DigestError, ModelError)):
        load_model(folder)


def test_foreign_tensors_are_refused(folder):
    save_file({"weight": np.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"not expected \['weight'\]"):
        load_model(folder)


def test_a_model_of_other_files_is_refused(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save_model(random_model(seed=1), other)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(DigestError, match="copy both files from the same model"):
        load_model(folder)
