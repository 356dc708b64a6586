"""The contracting cell: by itself, what it costs, and that no picture opens its gate. Laws of cells: test_cells.py."""

import numpy as np
import pytest

from counting import totals
from heclstm.backend.precision import run_clear
from heclstm.compiler.compile import Options, compile_circuit, compile_model
from heclstm.compiler.reach import reach
from heclstm.deploy.server import Server
from heclstm.model.cells.contracting import ContractingConfig
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.gru import GruConfig
from heclstm.model.cells.mean import MeanConfig
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.graph import part
from heclstm.model.interval import of_polynomial
from heclstm.model.reference import forward
from heclstm.model.weights import Model
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=512, special_count=4, security="INSECURE_TEST")
CELL = ContractingConfig(4)
ENCODER, PROJECTION, VOTE = 4, 1, 1  # levels: two quadratic blocks, W·s, the weighted unit and the vote
CONFIGS = {
    "one block": small_config(cell=CELL, blocks=(BlockConfig(3),)),
    "two blocks": small_config(cell=CELL),
    "cubic": small_config(cell=CELL, blocks=(BlockConfig(3, activation_degree=3),)),
    "pooled": small_config(cell=CELL, blocks=(BlockConfig(3, pool=(2, 2), pool_kind="sum"),)),
    "differences": small_config(cell=CELL, blocks=(BlockConfig(3),), differences=("first", "mean", "trend")),
}


def test_it_is_its_formula():
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape) for name, shape in CELL.arrays(5).items()}
    s, (w, w_n), (b, b_n) = rng.normal(size=(3, 4, 5)), *(np.split(arrays[a], 2) for a in ("input_weight", "bias"))
    found, h = CELL.evaluate(arrays, s), np.zeros((3, 4))
    for t in range(4):
        x, n = s[:, t] @ w.T + b + h @ arrays["recurrent_weight"].T, s[:, t] @ w_n.T + b_n
        z = (1 + x) / 2
        h = (1 - z) * n + z * h
        np.testing.assert_allclose(found["gates"][:, t], np.concatenate([x, n], 1), atol=1e-12, rtol=0)
        np.testing.assert_allclose(found["hidden"][:, t], h, atol=1e-12, rtol=0)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_it_costs_what_a_gru_without_reset_gate_does(frames):
    ours, gru = (
        compile_circuit(random_model(small_config(frames=frames, cell=cell), seed=1), TEST)
        for cell in (CELL, GruConfig(4, reset_gate=False))
    )
    assert ours.input_level - ours.result_level == ENCODER + PROJECTION + 1 + 2 * (frames - 1) + VOTE
    found, most = totals(ours), totals(gru)
    assert found["products"] == 2 + frames
    assert all(found[name] <= most[name] for name in found)


@pytest.mark.parametrize("size", [0.3, 3.0, 100.0])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_its_gate_stays_closed_to_every_picture_whatever_the_parameters_are(config, size):
    """In the numbers of the model file, and so by the bound that the card gets."""
    found, model, network = contracting(config, size)
    assert set(found) == {each.name for each in config.graph.ranges}
    frames = random_frames(config, 60, seed=3)
    frames[20:40] = frames[20:40] > 0.5
    frames[40:] = (frames[40:, :1, :1, :1, :1] > 0.5) * 1.0
    values = forward(model, frames)
    x, _ = np.split(values["contracting.gates"], 2, axis=2)
    assert np.abs(x).max() <= 1
    assert np.abs(values["contracting.hidden"]).max() <= found["contracting.hidden"]
    assert np.abs(values["score"]).max() <= found["score"]


def contracting(config, size, seed=0):
    """(bounds, model, network), with any parameters: of about this size."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(seed)
    network = HeClstm(config).double().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(("blocks", "contracting")):
                parameter += size * torch.randn_like(parameter)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer += torch.randn_like(buffer)
    model = export(network)
    return reach(model), model, network


def test_in_32_bits_too():
    """As training has it: the box is rounded, and so are the weights."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(5)
    network = HeClstm(CONFIGS["two blocks"]).eval()
    with torch.no_grad():
        for parameter in [*network.blocks.parameters(), *network.cell.parameters()]:
            parameter += 30 * torch.randn_like(parameter)
    assert "contracting.hidden" in reach(export(network))


def test_it_holds_where_gates_saturate():
    """Where 1 − |m| is all that is left, and 32 bits would round it away."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(3)
    network = HeClstm(ModelConfig(2, 1, 4, 4, (BlockConfig(3),), ContractingConfig(200))).eval()
    with torch.no_grad():
        network.cell.constant.copy_(torch.cat([torch.linspace(5, 20, 100), -torch.linspace(5, 20, 100)]))
    assert "contracting.hidden" in reach(export(network))
    assert next(network.parameters()).dtype == torch.float32  # the network itself stays as it is


def test_a_box_without_end_proves_nothing():
    """What overflows is no number, and no number is within [−1, 1]."""
    _, model, _ = contracting(CONFIGS["one block"], 0.3)
    arrays = {name: array.copy() for name, array in model.arrays.items()}
    arrays["blocks.0.weight"][1] = 1e200
    for name in ("contracting.input_weight", "weighted_unit.spatial_weight"):
        arrays[name][...] = 0.0
    arrays["contracting.input_weight"][:4, 1] = 1e-3
    with np.errstate(all="ignore"):
        assert "contracting.hidden" not in reach(Model(model.config, arrays))


def test_features_without_a_finite_range_are_refused():
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.errors import ModelError
    from heclstm.model.train.network import HeClstm

    blocks = tuple(BlockConfig(2, (1, 1), (1, 1), (0, 0)) for _ in range(8))
    network = HeClstm(ModelConfig(2, 1, 2, 2, blocks, CELL)).eval()
    with torch.no_grad():
        for block in network.blocks:
            block.normalization.running_var.fill_(1e-3)
    with pytest.raises(ModelError, match="without a finite range over all pictures.*fewer blocks"):
        network.values(torch.rand(1, 2, 1, 2, 2))


def test_without_recurrence_and_without_a_gate_it_can_be_run():
    """U = 0 and W = 0 leave transforms without an entry."""
    rng, config = np.random.default_rng(0), ModelConfig(3, 1, 4, 4, (BlockConfig(3),), CELL)
    model = random_model(config, seed=0)
    arrays = dict(model.arrays)
    arrays["contracting.recurrent_weight"] = np.zeros((4, 4))
    arrays["contracting.input_weight"] = np.concatenate([np.zeros((4, 3)), rng.normal(size=(4, 3)) / 2])
    model, frames = Model(config, arrays), random_frames(config, 1, seed=1)
    with Server(compile_model(model, Options(ring_degree=1024, special_count=4, security="INSECURE_TEST"))) as server:
        assert server.prepared.bytes_in_memory > 0
    circuit = compile_circuit(model, TEST)
    assert run_clear(circuit, frames.astype(np.float32))[0][0] == pytest.approx(forward(model, frames)["score"].item())


def test_a_file_whose_gate_may_leave_has_no_bound():
    """It is computed from the numbers: those of a file may be any."""
    _, model, _ = contracting(CONFIGS["one block"], 0.3)
    for name, factor in (("recurrent_weight", 1e4), ("input_weight", 3.0)):
        key = f"contracting.{name}"
        arrays = {**model.arrays, key: model.arrays[key] * factor}
        assert "contracting.hidden" not in reach(Model(model.config, arrays))


def test_a_box_of_a_polynomial_is_its_range():
    """As `model.interval` has it, which was tried by points."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.layers import box_of

    rng = np.random.default_rng(1)
    for degree in (2, 3):
        c, ends = rng.normal(size=(300, degree + 1)), np.sort(rng.normal(size=(300, 2)) * 2, axis=1)
        if degree == 3:
            c[:50, 3] = 0.0
        low, high = of_polynomial(c, *ends.T)
        box = torch.from_numpy(ends.mean(1)), torch.from_numpy(ends[:, 1] - ends[:, 0]) / 2
        middle, reached = (each.numpy() for each in box_of(torch.from_numpy(c), box))
        np.testing.assert_allclose(middle - reached, low, atol=1e-9)
        np.testing.assert_allclose(middle + reached, high, atol=1e-9)


def test_no_search_drives_its_gate_or_a_feature_out_of_its_box():
    """From 1,000 starts, upwards and downwards."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    pooled = BlockConfig(4, stride=(1, 1), pool=(2, 2), pool_kind="sum")
    config = small_config(cell=CELL, blocks=(BlockConfig(4), pooled), differences=("trend",))
    _, _, network = contracting(config, 0.3)
    shape = config.frames, config.channels, config.height, config.width
    for sign in (1, -1):
        x = torch.rand(500, *shape, dtype=torch.float64)
        for _ in range(6):
            x.requires_grad_(True)
            entering = network.values(x)["contracting.gates"][:, :, :4]
            (gradient,) = torch.autograd.grad((sign * entering).flatten(1).amax(1).sum(), x)
            x = (x.detach() + 0.25 * gradient.sign()).clamp(0, 1)
        with torch.no_grad():
            values, (middle, reached) = network.values(x), network.box()
        assert values["contracting.gates"][:, :, :4].abs().max() <= 1
        off = (values["spatial"] - middle).abs()
        assert (off <= reached * (1 + 1e-9) + 1e-12).all()
        assert (off / reached).max() > 0.3  # the search finds something


def test_a_box_hands_on_its_gradients():
    """Of coefficients and ends alike, whether the parabola turns inside or not."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.layers import box_of

    generator = torch.Generator().manual_seed(0)
    for degree in (2, 3):
        c, middle = (torch.randn(20, *n, generator=generator, dtype=torch.float64) for n in ((degree + 1,), ()))
        box = middle.requires_grad_(), (torch.rand(20, generator=generator, dtype=torch.float64) + 0.1).requires_grad_()
        assert torch.autograd.gradcheck(lambda *x: box_of(x[0], x[1:]), (c.requires_grad_(), *box))


@pytest.mark.parametrize("cell", [CELL, DiagonalConfig(4), MeanConfig(4), GruConfig(4), LstmConfig(4)], ids=type)
def test_all_stands_on_one_device(cell):
    """A device of shapes alone refuses tensors of another as a graphics card does."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm

    network = HeClstm(small_config(cell=cell, differences=("first", "trend"))).to("meta")
    network._given = lambda: {"box": network.box()} if network.cell.boxed else {}  # nothing is finite there
    assert network.values(torch.rand(2, 3, 2, 8, 8, device="meta"))["score"].device.type == "meta"


def test_training_moves_it_and_stays_finite():
    """Statistics of a batch may bring x out of the box: it is held there, and every parameter has a gradient."""
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm

    torch.manual_seed(2)
    config = CONFIGS["differences"]
    network = HeClstm(config).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    frames = torch.from_numpy(random_frames(config, 8, seed=4)).float()
    for _ in range(20):
        values = network.values(frames)
        assert values["contracting.gates"].chunk(2, 2)[0].abs().max() <= 1
        loss = torch.nn.functional.binary_cross_entropy_with_logits(values["score"][:, 0], torch.arange(8.0) % 2)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in network.cell.parameters())
        optimizer.step()
        network.constrain()
    assert network.cell.gate_weight.grad.abs().max() > 0
    assert loss < 0.5


def test_blocks_that_do_not_say_how_far_they_reach_are_refused():
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.errors import ModelError
    from heclstm.model.train.layers import Part

    class Unknown(Part):
        def forward(self, x):
            return {"": x, "output": x}

        def export(self):
            return {}

    with pytest.raises(ModelError, match="cell: got blocks of Unknown, which do not say how far they reach"):
        Unknown().box((torch.zeros(1), torch.zeros(1)))


def test_a_graph_names_what_is_watched():
    config = ModelConfig(2, 1, 4, 4, (BlockConfig(2),), CELL)
    model = random_model(config, seed=0)
    assert part(model.arrays, "contracting")["input_weight"].shape == (8, config.features)
    assert [each.name for each in config.graph.ranges if "contracting" in each.name] == [
        "contracting.gates", "contracting.candidate", "contracting.hidden",
    ]  # fmt: skip
