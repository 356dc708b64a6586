"""Networks side by side: their mean score, as one circuit of the same depth, and how they are trained."""

import json
from dataclasses import replace

import numpy as np
import pytest

from counting import totals
from heclstm.backend.precision import predict_errors
from heclstm.compiler.compile import Options, compile_circuit, compile_model
from heclstm.compiler.reach import reach
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.deploy.server import Server
from heclstm.errors import ModelError
from heclstm.model.calibrate import ranged
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.gru import GruConfig
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.cells.mean import MeanConfig
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.ensemble import joined, shared
from heclstm.model.reference import forward
from heclstm.model.untrained import untrained
from random_configs import cell_variants, named
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")
EVERY = [pytest.param(cell, id=named(cell)) for cell in cell_variants(exact=False)]
KINDS = [DiagonalConfig(3), MeanConfig(3), GruConfig(3), LstmConfig(3), LstmConfig(3, 2, recurrent_gates=False)]


def members_of(config, count):
    """Random networks that agree in what an ensemble has once."""
    made = [random_model(config, seed) for seed in range(count)]
    alike = {name: made[0].arrays[name] for name in shared(config)}
    return [replace(each, arrays={**each.arrays, **alike}) for each in made]


def mean_of(members, frames):
    each = [forward(member, frames) for member in members]
    return {name: np.mean([values[name] for values in each], axis=0) for name in ("score", "contributions")}


# ── what it computes ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cell", EVERY)
@pytest.mark.parametrize("differences", [(), ("first", "trend")], ids=str)
def test_its_score_is_the_mean_of_its_members(cell, differences):
    config = small_config(cell=cell, differences=differences)
    members, frames = members_of(config, 3), random_frames(config, 4, seed=9)
    expected, found = mean_of(members, frames), forward(joined(members), frames)
    for name, value in expected.items():
        # 2^-53 of values near one, some 2^10 terms a sum; random polynomials of degree three run away
        np.testing.assert_allclose(found[name], value, atol=1e-11 * max(1.0, np.abs(value).max()), err_msg=name)
    assert np.ptp([forward(member, frames)["score"][0, 0] for member in members]) > 1e-3


@pytest.mark.parametrize("cell", KINDS, ids=named)
def test_it_is_one_circuit_as_deep_as_one_member(cell, run_clear):
    pooled = BlockConfig(4, stride=(1, 1), pool=(2, 2), pool_kind="sum")
    config = small_config(cell=cell, differences=("previous",), blocks=(BlockConfig(4), pooled))
    members, frames = members_of(config, 2), random_frames(config, 2, seed=9)
    program, expected = compile_circuit(joined(members), TEST), mean_of(members, frames)
    wanted = np.concatenate([expected["score"], expected["contributions"].reshape(2, -1)], axis=1)
    found = run_clear(program, frames)
    assert np.abs(found[:, : wanted.shape[1]] - wanted).max() <= 1e-9 * max(1.0, np.abs(wanted).max())
    assert not found[:, wanted.shape[1] :].any()
    assert program.input_level == compile_circuit(members[0], TEST).input_level


def test_padding_has_no_vote():
    config = small_config()
    members, frames = members_of(config, 2), random_frames(config, 3, seed=1)
    mask = np.array([[True, True, False]] * 3)
    expected = np.mean([forward(member, frames, mask)["score"] for member in members], axis=0)
    np.testing.assert_allclose(forward(joined(members), frames, mask)["score"], expected, atol=1e-12)


def test_one_network_alone_is_itself():
    model = random_model(small_config(), seed=0)
    assert joined([model]).digest == model.digest


@pytest.mark.parametrize("cell", [DiagonalConfig(3), MeanConfig(3, 1), MeanConfig(3), DiagonalConfig(3, gates="both")])
def test_a_bound_holds_for_all_members(cell):
    model = joined(members_of(small_config(cell=cell), 3))
    found = reach(model)
    frames = random_frames(model.config, 200, seed=5)
    frames[100:] = frames[100:] > 0.5
    for name, value in ranged(model, forward(model, frames)):
        assert np.abs(value).max() <= found[name] * (1 + 1e-9), name


def test_two_alike_have_the_bound_of_one():
    member = random_model(small_config(cell=DiagonalConfig(3)), seed=0)
    assert reach(joined([member, member]))["score"] == pytest.approx(reach(member)["score"], rel=1e-9)


def test_what_all_share_has_to_agree():
    first, second = (random_model(small_config(), seed) for seed in (0, 1))
    with pytest.raises(ModelError, match=r"lstm.gate_coefficients differs between networks, but all share it"):
        joined([first, second])
    with pytest.raises(ModelError, match="different shapes"):
        joined([first, random_model(small_config(frames=2), 0)])


def test_shapes_that_are_not_of_several_are_refused():
    with pytest.raises(ModelError, match="members: got 3, expected a divisor"):
        small_config(members=3)
    config = small_config().side_by_side(3)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.member == small_config()
    assert "members" not in small_config().to_json()  # models from before there were any keep their digest


# ── what it costs ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [2, 3, 4])
def test_several_cost_the_products_of_one_while_a_ciphertext_holds_them(count):
    """Squares are counted by ciphertext, and turns bring channels of all members to their places at once."""
    config, ring = small_config(cell=DiagonalConfig(4)), replace(TEST, ring_degree=4096)
    one, several = (totals(compile_circuit(untrained(config.side_by_side(k)), ring)) for k in (1, count))
    for name in ("levels", "products", "linear_transforms", "input_ciphertexts"):
        assert several[name] == one[name], name
    assert several["rotations"] < 2 * one["rotations"]


def test_encrypted_it_is_what_it_is_in_clear(tmp_path):
    config = small_config(cell=MeanConfig(4))
    members, frames = members_of(config, 2), random_frames(config, 1, seed=1).astype(np.float32)
    program = compile_model(joined(members), TEST)
    client = Client(program.card, allow_insecure=True)
    client.generate_keys(tmp_path)
    client.encrypt(ImageSequence(frames[0], "sequence"), tmp_path / "query.he")
    server = Server(program)
    keys = server.open_keys(tmp_path / EVALUATION_KEYS_FILE)
    server.evaluate(tmp_path / "query.he", keys, tmp_path / "result.he")
    found = client.decrypt(tmp_path / "result.he", unrounded=True).score
    server.close()
    client.close()
    error = abs(found - mean_of(members, frames)["score"][0, 0])
    assert error < 8 * predict_errors(program.circuit, frames).max()  # as in tests/backend/test_cells_encrypted.py
