"""A model that does not fit is refused with what near to it does, and what that costs."""

import re

import pytest

from heclstm.circuit.cost import estimate
from heclstm.compiler.alternatives import longest
from heclstm.compiler.compile import Options, compile_circuit, compile_model, levels_of
from heclstm.errors import ParameterError
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.cells.gru import GruConfig
from heclstm.model.cells.mean import MeanConfig
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.untrained import untrained


def model(frames, cell):
    return untrained(ModelConfig(frames, 1, 4, 4, (BlockConfig(2),), cell))


def refused(frames, cell, **options):
    with pytest.raises(ParameterError) as raised:
        compile_model(model(frames, cell), Options(**options))
    return str(raised.value)


@pytest.fixture(scope="module")
def long():
    """Thirty-two frames of recurrent gates: about a hundred levels."""
    return refused(32, LstmConfig(2))


def test_the_longest_sequence_that_fits_is_named(long):
    """Levels are linear in the frames: the number said is that of the model, and a frame more needs a ring too many."""
    frames, depth, degree = map(int, re.search(r"; (\d+) frames \((\d+) levels, N = 2\^(\d+)\) fit", long).groups())
    assert 16 < frames < 32
    assert degree == 17
    assert levels_of(model(frames, LstmConfig(2))) == depth
    with pytest.raises(ParameterError, match="no ring up to"):
        compile_circuit(model(frames + 1, LstmConfig(2)))


def test_cells_that_fit_are_named_with_what_they_cost(long):
    said = {
        setting: (int(levels), int(keys))
        for setting, levels, keys in re.findall(
            r"; with (\S+ = \S+) in \[model.cell\] it fits: (\d+) levels, N = 2\^\d+, (\d+) MB of keys", long
        )
    }
    assert said.keys() == {"recurrent_gates = false", 'kind = "diagonal"'}
    costs = estimate(compile_circuit(model(32, DiagonalConfig(2))))
    assert said['kind = "diagonal"'] == (costs.depth, round(costs.evaluation_key_bytes / 1e6))


def test_a_ring_that_is_prescribed_and_too_small_may_be_left_out():
    text = refused(2, LstmConfig(2, gate_degree=2), ring_degree=1 << 12)
    assert "without a ring degree of its own it fits" in text
    assert "with gate_degree = 1 in [model.cell] it fits" in text
    assert ") fit" not in text  # two frames are as short as it gets


def test_frames_that_take_no_levels_have_no_longest_sequence():
    assert longest(model(3, DiagonalConfig(2)).config, Options()) is None


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        (LstmConfig(2, gate_degree=3), ["gate_degree = 1", "recurrent_gates = false"]),
        (LstmConfig(2, recurrent_gates=False), []),
        (GruConfig(2), ["reset_gate = false"]),
        (GruConfig(2, gate_degree=3, reset_gate=False), ["gate_degree = 1"]),
        (DiagonalConfig(2), []),
        (MeanConfig(2), ["activation_degree = 1"]),
        (MeanConfig(2, 1), []),
    ],
)
def test_cells_know_what_takes_fewer_levels(cell, settings):
    found = cell.shallower()
    assert list(found) == settings
    deep = levels_of(model(5, cell))
    assert all(levels_of(model(5, each)) < deep for each in found.values())


def test_the_longest_sequence_is_that_of_the_prescribed_ring():
    config = model(32, LstmConfig(2)).config
    free, bound = longest(config, Options()), longest(config, Options(ring_degree=1 << 15))
    assert bound.frames < free.frames
    assert bound.ring_degree == 1 << 15
