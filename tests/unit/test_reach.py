"""Bounds hold for every input: against held-out values, and against a search for the worst input there is."""

import numpy as np
import pytest

from heclstm.card.program_card import Card
from heclstm.compiler.compile import Options, compile_model
from heclstm.compiler.reach import reach
from heclstm.model.calibrate import calibrate, ranged
from heclstm.model.cells.contracting import ContractingConfig
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.gru import GruConfig
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.cells.mean import MeanConfig
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.interval import of_affine, of_polynomial, of_product
from heclstm.model.reference import forward
from heclstm.model.weights import Model
from random_models import random_frames, random_model, small_config

ROUNDING = 1e-9  # relative; sums of some thousand float64
STARTS, STEPS = 1000, 12
CELLS = [
    DiagonalConfig(3, memory, gates, degree)
    for memory, gates, degree in (
        ("mean", "none", 1), ("leaky", "none", 1), ("mean", "input", 2), ("leaky", "output", 1), ("mean", "both", 2),
    )
] + [MeanConfig(3, 1), MeanConfig(3, 2)]  # fmt: skip


def names(cell):
    return "-".join([cell.kind, *map(str, list(cell.to_json().values())[1:])])


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_range_of_a_polynomial_is_attained_and_never_passed(degree):
    rng = np.random.default_rng(degree)
    c, ends = rng.normal(size=(200, degree + 1)), np.sort(rng.normal(size=(200, 2)) * 2, axis=1)
    c[:20, -1] = 0.0  # of a lower degree than written
    low, high = of_polynomial(c, ends[:, 0], ends[:, 1])
    x = np.linspace(ends[:, 0], ends[:, 1], 4001)
    y = sum(c[:, j] * x**j for j in range(degree + 1))
    # a parabola between two of 4001 points: curvature · (length / 4000)² / 8
    slack = 1e-5
    assert (y.min(0) >= low - 1e-9).all()
    assert (y.max(0) <= high + 1e-9).all()
    assert (y.min(0) - low).max() < slack
    assert (high - y.max(0)).max() < slack


def test_the_ranges_of_products_and_affine_maps():
    low, high = of_product((np.array([-2.0]), np.array([1.0])), (np.array([-3.0]), np.array([5.0])))
    assert (low[0], high[0]) == (-10.0, 6.0)
    low, high = of_affine(np.array([[2.0, -3.0]]), np.array([1.0]), np.array([0.0, 0.0]), np.array([1.0, 1.0]))
    assert (low[0], high[0]) == (-2.0, 3.0)


def test_what_enters_the_first_activation_is_bounded_exactly():
    """The range of an affine map over a box is attained in a corner: here found by trying all of them."""
    config = ModelConfig(1, 1, 3, 3, (BlockConfig(2, (2, 2), (1, 1), (0, 0)),), DiagonalConfig(2))
    model = random_model(config, seed=4)
    corners = (np.arange(512)[:, None] >> np.arange(9) & 1).astype(float).reshape(512, 1, 1, 3, 3)
    largest = np.abs(forward(model, corners)["blocks.0"]).max()
    assert reach(model)["blocks.0"] == pytest.approx(largest, rel=ROUNDING)


@pytest.mark.parametrize("cell", CELLS, ids=names)
def test_every_watched_value_has_a_bound_and_no_frame_passes_it(cell):
    model = random_model(small_config(cell=cell), seed=3)
    found = reach(model)
    assert set(found) == {each.name for each in model.config.graph.ranges}
    frames = random_frames(model.config, 200, seed=5)
    frames[100:] = frames[100:] > 0.5
    for name, value in ranged(model, forward(model, frames)):
        assert np.abs(value).max() <= found[name] * (1 + ROUNDING), name


@pytest.mark.parametrize("cell", [*CELLS, ContractingConfig(3)], ids=names)
def test_no_search_for_the_worst_input_passes_a_bound(cell):
    """Projected gradient ascent on the pixels from 1,000 starts, for the score, the state and the first activation."""
    torch = pytest.importorskip("torch", reason="the search needs gradients: heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(1)
    config = ModelConfig(3, 1, 4, 4, (BlockConfig(3),), cell)
    network = HeClstm(config).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    found = reach(export(network))
    for name in ("score", f"{cell.kind}.hidden", "blocks.0"):
        worst = max(searched(torch, network, name, sign) for sign in (1, -1))
        assert worst <= found[name] * (1 + ROUNDING), name
        assert worst >= found[name] * (1 - ROUNDING if name == "blocks.0" else 0.05), name  # the search finds something


def searched(torch, network, value, sign):
    """The largest sign · value that STARTS ascents come to, each towards the unit that was largest."""
    x = torch.rand(STARTS, 3, 1, 4, 4, dtype=torch.float64)
    x[: STARTS // 4].round_()
    for _ in range(STEPS):
        x.requires_grad_(True)
        made = network.values(x)[value].flatten(1) * sign
        (gradient,) = torch.autograd.grad(made.amax(1).sum(), x)
        x = (x.detach() + 0.25 * gradient.sign()).clamp(0, 1)
    return (network.values(x)[value].detach() * sign).max().item()


@pytest.mark.parametrize("cell", [LstmConfig(3), GruConfig(3)], ids=["lstm", "gru"])
def test_a_state_that_multiplies_itself_has_no_bound(cell):
    before = {"blocks.0", "blocks.0.output", "blocks.1", "blocks.1.output", "spatial"}
    assert set(reach(random_model(small_config(cell=cell), seed=0))) == before


def test_a_program_says_on_its_card_what_cannot_be_exceeded():
    pooled = BlockConfig(6, stride=(1, 1), pool=(2, 2), pool_kind="sum")
    config = small_config(blocks=(BlockConfig(4), pooled), cell=DiagonalConfig(3))
    model = calibrate(random_model(config, seed=0), random_frames(config, 4, seed=1))
    card = compile_model(model, Options(ring_degree=512, special_count=4, security="INSECURE_TEST")).card
    bounds = reach(model)
    assert {each.name: each.bound for each in card.ranges if each.bound is not None} == bounds
    assert card.bound("score") == bounds["score"]
    assert Card.read(card.to_json(), "card").ranges == card.ranges
    assert set(bounds) == {each.name for each in config.graph.ranges}


def test_cards_of_models_without_a_bound_stay_as_they_were():
    model = calibrate(random_model(small_config(), seed=0), random_frames(small_config(), 4, seed=1))
    card = compile_model(model, Options(ring_degree=512, special_count=4, security="INSECURE_TEST")).card
    assert card.bound("score") is None
    assert all(set(each) == {"name", "max_abs", "limit"} for each in card.to_json()["ranges"])


def test_a_bound_that_overflows_is_none():
    """Twelve squares of a square: 10^(2^12) is no number, and a program is made without."""
    blocks = tuple(BlockConfig(2, (1, 1), (1, 1), (0, 0)) for _ in range(12))
    config = ModelConfig(2, 1, 2, 2, blocks, DiagonalConfig(2))
    model = random_model(config, seed=0)
    arrays = {
        name: 10 * np.abs(array) if "weight" in name and "blocks" in name else array
        for name, array in model.arrays.items()
    }
    found = reach(Model(config, arrays))
    assert "blocks.0" in found
    assert "score" not in found
