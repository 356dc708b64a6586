"""Padding has no vote and touches no state: in the reference, in PyTorch, and in what a hospital reads."""

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from heclstm.card.preparation import Preparation
from heclstm.compiler.compile import Options, compile_model
from heclstm.deploy.diagnosis import read_result
from heclstm.errors import ModelError, SequenceError
from heclstm.model.calibrate import calibrate
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.reference import forward
from heclstm.program.program import Program
from random_models import random_frames, random_model, small_config

CONFIG = small_config()
STEPS = CONFIG.frames
FREE = Preparation(
    "frames",
    (STEPS, CONFIG.channels, CONFIG.height, CONFIG.width),
    STEPS,
    CONFIG.channels,
    CONFIG.height,
    CONFIG.width,
    length="pad",
)


def masks(*lengths):
    return np.arange(STEPS) < np.array(lengths)[:, None]


@pytest.fixture(scope="module")
def model():
    return random_model(CONFIG, 1).with_metadata(preparation=FREE.to_json())


@pytest.fixture(scope="module")
def frames():
    return random_frames(CONFIG, STEPS, seed=0)


def test_padding_changes_nothing(model, frames):
    """Whatever stands in the padding, the score is the same, and so is every state of a real frame."""
    mask = masks(*range(1, STEPS + 1))
    padded = np.where(mask[:, :, None, None, None], frames, random_frames(CONFIG, STEPS, seed=7))
    first, second = forward(model, frames, mask), forward(model, padded, mask)
    assert np.array_equal(first["score"], second["score"])
    for name in ("lstm.hidden", "lstm.cell", "contributions"):
        assert np.array_equal(first[name][mask], second[name][mask])
    assert not first["contributions"][~mask].any()
    full = forward(model, frames)
    assert np.array_equal(first["contributions"][mask], full["contributions"][mask])
    assert np.array_equal(first["score"][-1], full["score"][-1])  # its frames are all real
    with pytest.raises(SequenceError, match="model input: got a mask of shape"):
        forward(model, frames, mask[:1])


class LooksAhead(LstmConfig):
    causal = False


def test_a_model_whose_cell_looks_ahead_takes_no_mask(frames):
    """Neither one that says so on disk, nor one that is asked to leave frames out."""
    ahead = random_model(dataclasses.replace(CONFIG, cell=LooksAhead(4)), 1)
    assert np.isfinite(forward(ahead, frames)["score"]).all()
    with pytest.raises(ModelError, match="model input: sequences may be padded, but a state of the cell"):
        forward(ahead, frames, masks(*[1] * STEPS))
    with pytest.raises(ModelError, match="model: sequences may be padded, but a state of the cell"):
        ahead.with_metadata(preparation=FREE.to_json())


def test_calibration_counts_padding_in_the_layers_but_not_in_the_score(model, frames):
    mask = masks(*[1] * STEPS)
    part, whole = (calibrate(model, frames, m).metadata["ranges"] for m in (mask, None))
    assert part["lstm.cell"] == whole["lstm.cell"]
    largest = np.abs(forward(model, frames)["contributions"][:, 0]).max()
    assert part["score"]["max_abs"] == pytest.approx(largest, rel=1e-12)


def test_torch_agrees(frames):
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(0)
    network = HeClstm(CONFIG).eval().double()
    mask = masks(*range(1, STEPS + 1))
    with torch.no_grad():
        values = network.values(torch.from_numpy(frames), torch.from_numpy(mask))
        assert torch.equal(network(torch.from_numpy(frames), torch.from_numpy(mask)), values["score"])
    expected = forward(export(network), frames, mask)
    for name in ("contributions", "score"):
        # the same sums in float64 in another order, on values below 100
        assert np.allclose(values[name].numpy(), expected[name], atol=1e-9)


def test_a_hospital_reads_the_score_of_the_real_frames(model, frames, run_clear):
    """The program knows no mask and costs no level for it; each contribution stands in its result by itself."""
    program = compile_model(model, Options(ring_degree=1 << 11, security="INSECURE_TEST"))
    circuit, card = program.circuit, program.card
    slots = run_clear(circuit, frames)
    for length in range(1, STEPS + 1):
        expected = forward(model, frames, masks(*[length] * STEPS))
        for row in range(STEPS):
            diagnosis = read_result(slots[row], card, frames=length, unrounded=True)
            assert diagnosis.frames == (length if length < STEPS else None)
            assert np.allclose(diagnosis.scores, expected["score"][row], atol=1e-9)  # a compiled circuit, in clear
            assert np.allclose(diagnosis.contributions, expected["contributions"][row], atol=1e-9)
            assert not np.any(diagnosis.contributions[length:])
    with pytest.raises(SequenceError, match=f"this program takes 1 to {STEPS} frames; say how many this sequence had"):
        read_result(slots[0], card)
    with pytest.raises(SequenceError, match=f"got {STEPS + 1} frames, expected 1 to {STEPS}"):
        read_result(slots[0], card, frames=STEPS + 1)
    card = Program.of(circuit, replace(card.purpose, preparation=replace(FREE, length="exact"))).card
    assert read_result(slots[0], card) == read_result(slots[0], card, frames=STEPS)
    with pytest.raises(SequenceError, match=f"got 1 frames, expected {STEPS}"):
        read_result(slots[0], card, frames=1)
