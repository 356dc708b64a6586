"""What docs/adding.md says: new operations, blocks and backends are known everywhere, once they are registered."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from engine_kit import ROUNDINGS, ClearKit
from heclstm.backend.execute import Executor
from heclstm.backend.registry import BACKENDS, backend
from heclstm.circuit.check import check
from heclstm.circuit.cost import estimate
from heclstm.circuit.operations import OPERATIONS, operation_from_json
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import LevelError, ModelError, ParameterError
from heclstm.model import blocks, cells
from heclstm.model.blocks import BLOCKS
from heclstm.model.blocks.base import Block
from heclstm.model.calibrate import calibrate
from heclstm.model.cells.base import Cell
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.reference import forward
from heclstm.model.registry import kinds
from laws import LAWS, RINGS
from new_backend import LongBackend, LongEvaluator
from new_block import Squeeze
from new_operation import REVERSAL, Reverse, Reversing
from random_models import random_frames, random_model, small_config

ROOT = Path(__file__).parents[2]
ADDING = (ROOT / "docs" / "adding.md").read_text()
TEST = Options(ring_degree=512, special_count=4, security="INSECURE_TEST")


# ── an operation ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def circuit():
    return compile_circuit(random_model(small_config(frames=2, channels=1), seed=0), TEST)


def with_reverse(circuit, **changes):
    """The circuit with its result turned around."""
    last = circuit.result_level
    added = Reverse("turn", (9999,), last, circuit.parameters.scales[last], circuit.result)
    return replace(circuit, operations=(*circuit.operations, replace(added, **changes)), result=9999)


def test_a_new_operation_is_known_everywhere(circuit, monkeypatch):
    """Checked, priced, given keys, written, read and run, without a word about it anywhere else."""
    monkeypatch.setitem(OPERATIONS, "Reverse", Reverse)
    longer, slots, level = check(with_reverse(circuit)), circuit.parameters.slots, circuit.input_level
    assert longer.needed_keys.rotations[REVERSAL % slots] >= circuit.result_level
    assert (longer.result_level, estimate(longer).totals["reverse"]) == (circuit.result_level, 1)
    assert estimate(longer).layers[-1].layer == "turn"
    arrays = []
    written = json.loads(json.dumps(longer.operations[-1].to_json(arrays)))
    assert operation_from_json(written, arrays).to_json([]) == written
    x = np.random.default_rng(0).random((circuit.input_layout.ciphertexts, slots))
    results = []
    for each in (circuit, longer):
        backend = Reversing(slots, circuit.parameters.moduli)
        inputs = [backend.value(values, level, circuit.parameters.scales[level]) for values in x]
        results.append(Executor(each, backend).run(inputs).values)
    assert np.array_equal(results[1], results[0][::-1])


def test_its_level_and_scale_are_checked(circuit, monkeypatch):
    monkeypatch.setitem(OPERATIONS, "Reverse", Reverse)
    level = circuit.result_level
    with pytest.raises(LevelError, match=rf"turn: Reverse reads level {level} for level {level + 1}"):
        check(with_reverse(circuit, level=level + 1))


# ── a block ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setitem(BLOCKS, "squeeze", Squeeze)
    return ModelConfig(3, 2, 8, 8, (BlockConfig(5), Squeeze(3), BlockConfig(4)), LstmConfig(3))


def test_a_folder_is_all_that_a_new_kind_needs(monkeypatch, tmp_path):
    """Cells are found the same way."""
    (tmp_path / "squeeze").mkdir()
    shutil.copy(ROOT / "tests" / "new_block.py", tmp_path / "squeeze" / "__init__.py")
    (tmp_path / "beside.py").write_text("what is no folder is no kind")
    monkeypatch.setattr(blocks, "__path__", [*blocks.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    found = kinds(blocks.__name__, blocks.__path__, Block)
    assert list(found) == ["convolution", "squeeze"]
    assert (found["convolution"], found["squeeze"].__name__) == (BlockConfig, "Squeeze")
    (tmp_path / "squeeze").rename(tmp_path / "stretch")
    with pytest.raises(ModelError, match=r"stretch: defines \['squeeze'\], expected a Block of kind 'stretch'"):
        kinds(blocks.__name__, blocks.__path__, Block)
    known = ["contracting", "diagonal", "gru", "lstm", "mean"]
    assert list(kinds(cells.__name__, cells.__path__, Cell)) == list(cells.CELLS) == known


def test_a_cell_is_a_folder_of_three_files():
    """As the page counts them; the diagonal one has two more."""
    files = {path.name for path in (ROOT / "src" / "heclstm" / "model" / "cells" / "gru").glob("*.py")}
    assert files == {"__init__.py", "lowering.py", "torch_module.py"}


def test_a_new_block_is_named_in_files(config):
    written = json.loads(json.dumps(config.to_json()))
    assert written["blocks"][1] == {"kind": "squeeze", "out_channels": 3}
    assert ModelConfig.from_json(written) == config
    written["blocks"][1]["kind"] = "stretch"
    with pytest.raises(ModelError, match="block: got kind 'stretch', expected one of convolution, squeeze"):
        ModelConfig.from_json(written)


def test_a_new_block_is_compiled_at_no_level(config, run_clear):
    """Two affine maps in a row are one; 1e-9 as everywhere between a model and its circuit."""
    model, frames = random_model(config, seed=0), random_frames(config, 2, seed=0)
    program = compile_circuit(model, TEST)
    assert "blocks.1.squeeze + blocks.2.convolution" in {operation.layer for operation in program.operations}
    without = compile_circuit(random_model(replace(config, blocks=config.blocks[::2]), 0), TEST)
    assert program.input_level == without.input_level
    assert np.abs(run_clear(program, frames)[:, :1] - forward(model, frames)["score"]).max() < 1e-9
    assert "blocks.1.output" in calibrate(model, frames).metadata["ranges"]


def test_a_new_block_is_trained_as_its_reference_says(config):
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(0)
    network = HeClstm(config).double().eval()
    frames = random_frames(config, 3, seed=0)
    with torch.no_grad():
        values = network.values(torch.from_numpy(frames))
    reference = forward(export(network), frames)
    assert set(values) == set(reference)
    for name, value in reference.items():
        np.testing.assert_allclose(values[name].numpy(), value, atol=1e-9, rtol=0, err_msg=name)


# ── a backend ──────────────────────────────────────────────────────────────────────────────────────────────


class LongKit(ClearKit):
    """All that its tests need."""

    backend = LongBackend

    def __init__(self, parameters):
        super().__init__(parameters)
        self.evaluator = LongEvaluator(parameters.slots, parameters.moduli, parameters.scales)


@pytest.mark.parametrize("ring", RINGS)
def test_a_new_backend_keeps_the_laws(ring):
    """All of them, as the suite would run them on its line in KITS."""
    kit = LongKit(RINGS[ring])
    for name, make in LAWS.items():
        law = make(kit.parameters, np.random.default_rng(crc32(name.encode())))
        value = law.run(kit)
        assert (value.level, value.scale) == (law.level, law.scale), name
        assert value.values.dtype == np.longdouble, name
        assert np.abs(kit.decrypt(value) - law.expected).max() <= ROUNDINGS, name


def test_a_new_backend_is_found_by_its_name_and_runs_programs(circuit, monkeypatch):
    monkeypatch.setitem(BACKENDS, "long", LongBackend)
    slots, inputs = circuit.parameters.slots, circuit.input_layout.ciphertexts
    blobs = [row.astype("<f8").tobytes() for row in np.random.default_rng(0).random((inputs, slots))]
    results = []
    for name in ("clear", "long"):
        prepared = backend(name).prepare(circuit)
        results.append(np.frombuffer(prepared.store(prepared.evaluate(prepared.load(blobs))), "<f8"))
    assert np.abs(results[0] - results[1]).max() < 1e-9
    with pytest.raises(ParameterError, match="expected one of clear, simulate, cpu, long"):
        backend("gpu")


# ── the page ───────────────────────────────────────────────────────────────────────────────────────────────


def test_files_that_the_page_names_exist():
    named = re.findall(r"`((?:src|tests|docs|model|circuit|compiler|backend|data|cli)/[\w./]+)`", ADDING)
    assert len(named) > 10
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "src" / "heclstm" / name).exists(), name


@pytest.mark.parametrize(
    "example",
    [
        "tests/new_operation.py",
        "tests/new_block.py",
        "tests/new_backend.py",
        "src/heclstm/data/datasets/annocerv.py",
    ],
)
def test_listings_of_the_page_are_those_that_run(example):
    """Every indented line of the listing stands in the file, in this order."""
    source = (ROOT / example).read_text()
    (listing,) = re.findall(rf"```python\n# {example}\n(.*?)```", ADDING, flags=re.DOTALL)
    assert listing.strip() in source
