"""Laws of every registered cell and block, in every variant: a new kind is tested by being registered."""

import json
from dataclasses import replace

import numpy as np
import pytest

from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import ModelError
from heclstm.model.blocks import BLOCKS
from heclstm.model.calibrate import calibrate
from heclstm.model.cells import CELLS
from heclstm.model.config import LstmConfig, ModelConfig
from heclstm.model.fields import OneOf, rules
from heclstm.model.graph import part
from heclstm.model.reference import forward
from heclstm.model.weights import expected_shapes
from random_configs import cell_variants, model_with, named, variants
from random_models import random_frames, random_model
from torch_reference import assert_equal_to_the_reference

TEST = Options(ring_degree=512, special_count=4, security="INSECURE_TEST")
CELL_VARIANTS = [pytest.param(cell, id=named(cell)) for cell in cell_variants()]
POLYNOMIAL = [pytest.param(cell, id=named(cell)) for cell in cell_variants(exact=False)]
BLOCK_VARIANTS = [
    pytest.param(block, id=named(block))
    for kind in BLOCKS.values()
    for block in variants(kind, **{name: 8 for name, rule in rules(kind).items() if name == "out_channels"})
]


def exact_model(config):
    """Some weights for any configuration, polynomial or not."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0.1, 0.4, shape) for name, shape in expected_shapes(config).items()}
    return type(random_model(model_with(LstmConfig(1)), 0))(config, arrays)


# ── cells ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", CELLS)
def test_kinds_go_by_their_own_name(kind):
    assert CELLS[kind].kind == kind
    assert CELLS[kind].__module__ == f"heclstm.model.cells.{kind}"


@pytest.mark.parametrize("cell", CELL_VARIANTS)
def test_json_brings_every_cell_back(cell):
    config = model_with(cell)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("kind", CELLS.values(), ids=CELLS)
def test_what_a_field_cannot_be_is_refused(kind):
    with pytest.raises(ModelError, match=f"{kind.__name__}.hidden_size: got 0, expected a whole number"):
        kind(0)
    for name, rule in rules(kind).items():
        if isinstance(rule, OneOf):
            with pytest.raises(ModelError, match=rf"{kind.__name__}.{name}: got 'nothing', expected one of"):
                kind(3, **{name: "nothing"})


@pytest.mark.parametrize("cell", CELL_VARIANTS)
def test_coefficients_start_in_the_shapes_of_a_model_file(cell):
    shapes = cell.arrays(features=5)
    for name, array in cell.start().items():
        assert name.endswith("coefficients")  # by which training spares them from weight decay
        assert shapes[name] == array.shape
        assert np.isfinite(array).all()


@pytest.mark.parametrize("cell", CELL_VARIANTS)
def test_an_exact_twin_has_no_polynomial_left(cell):
    twin = cell.exact_twin()
    if twin == cell and cell.exact is None:
        assert cell.start() == {}  # there was none
        return
    assert twin.exact is not None
    assert twin.start() == {}
    assert twin.exact_twin() == twin
    assert twin.hidden_size == cell.hidden_size
    with pytest.raises(ModelError, match=f"{cell.kind}: got .*, expected polynomials"):
        compile_circuit(exact_model(model_with(twin)), TEST)


@pytest.mark.parametrize("cell", CELL_VARIANTS)
def test_values_have_their_shapes_and_ranges(cell):
    """Every range is of a value that the cell makes, and every value of a frame is finite for tame weights."""
    config = model_with(cell)
    model = exact_model(config)
    spatial = np.random.default_rng(1).uniform(0, 0.5, (2, 3, config.features))
    values = cell.evaluate(part(model.arrays, cell.kind), spatial)
    assert values["hidden"].shape == (2, 3, cell.hidden_size)
    for each in cell.ranges:
        assert values[each.value].shape[:2] == (2, 3)
        assert values[each.value].shape[-1] % each.of == 0
        assert set(each.parts) <= set(range(each.of))
        assert each.bound is None or each.default > 0
    assert all(np.isfinite(value).all() for value in values.values())


@pytest.mark.parametrize("cell", CELL_VARIANTS)
def test_a_causal_cell_does_not_see_what_comes_later(cell):
    """Padding relies on it (`data.fit`): another last frame changes the last state, and no state before it."""
    if not cell.causal:
        pytest.skip("it does not say that it is causal, and is refused where sequences are padded")
    config = model_with(cell)
    arrays = part(exact_model(config).arrays, cell.kind)
    spatial = np.random.default_rng(1).uniform(0, 0.5, (2, 4, config.features))
    other = spatial.copy()
    other[:, -1] += 0.25
    first, second = (cell.evaluate(arrays, x)["hidden"] for x in (spatial, other))
    assert np.array_equal(first[:, :-1], second[:, :-1])
    assert not np.array_equal(first[:, -1], second[:, -1])


@pytest.mark.parametrize("cell", POLYNOMIAL)
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_compiled_cell_is_its_reference(cell, frames, run_clear):
    """2^-53 of values near one, some 2^10 terms and 20 layers: 4e-12, and room for cancellation."""
    model = random_model(model_with(cell, frames=frames), seed=frames)
    images = random_frames(model.config, 2, seed=0)
    expected = forward(model, images)
    found = run_clear(compile_circuit(model, TEST), images)
    wanted = np.concatenate([expected["score"], expected["contributions"].reshape(2, -1)], axis=1)
    magnitude = max(1.0, *(np.abs(value).max() for value in expected.values()))
    assert magnitude < 100
    assert np.abs(found[:, : wanted.shape[1]] - wanted).max() <= 1e-9 * magnitude
    assert not found[:, wanted.shape[1] :].any()


@pytest.mark.parametrize("cell", POLYNOMIAL)
def test_every_watched_value_is_measured(cell):
    model = random_model(model_with(cell), seed=2)
    frames = random_frames(model.config, 5, seed=1)
    ranges = calibrate(model, frames).metadata["ranges"]
    assert list(ranges) == [each.name for each in model.config.graph.ranges]
    for each in cell.ranges:
        assert ranges[f"{cell.kind}.{each.name}"]["limit"] >= each.default


# ── in PyTorch ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cell", CELL_VARIANTS)
def test_a_trained_cell_is_its_reference(cell):
    assert_equal_to_the_reference(model_with(cell, frames=4, exact_blocks=cell.exact is not None))


@pytest.mark.parametrize("block", BLOCK_VARIANTS)
def test_a_trained_block_is_its_reference(block):
    assert_equal_to_the_reference(ModelConfig(2, 2, 9, 12, (block, replace(block)), LstmConfig(2)))


@pytest.mark.parametrize("cell", POLYNOMIAL)
def test_polynomials_fade_in(cell):
    """At 0 a cell is its exact twin with the same weights, and no coefficient has a gradient; at 1 no function is."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.layers import blend

    if not cell.start():
        pytest.skip("it has no polynomials")
    torch.manual_seed(0)
    module, twin = cell.module(4).double(), cell.exact_twin().module(4).double()
    known = {name: value for name, value in module.state_dict().items() if name in twin.state_dict()}
    twin.load_state_dict(known, strict=True)
    spatial = torch.from_numpy(np.random.default_rng(0).random((3, 4, 4)))
    blend(module, 0.0, 0.0)
    torch.testing.assert_close(module(spatial)["hidden"], twin(spatial)["hidden"], rtol=0, atol=1e-12)
    blend(module, 0.0, 1.0)
    assert (module(spatial)["hidden"] - twin(spatial)["hidden"]).abs().max() > 1e-6


# ── blocks ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", BLOCK_VARIANTS)
def test_json_brings_every_block_back(block):
    config = replace(model_with(LstmConfig(2)), height=16, width=16, blocks=(block, block))
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("block", BLOCK_VARIANTS)
def test_an_exact_block_has_no_polynomial_left(block):
    nodes = block.exact_twin().nodes("blocks.0", "frames", (2, 16, 16))
    assert any(node.exact for node in nodes)
    assert nodes[-1].value == "blocks.0.output"


def test_a_model_has_at_least_one_kind_of_each():
    assert CELLS
    assert BLOCKS
