"""Kernels by hand: polynomials split around affine maps, gates, one step after another, the vote."""

import numpy as np
import pytest
from scipy import sparse

from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor
from heclstm.card.model_facts import ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.circuit.operations import SumOfProducts
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.compile import Options, compile_circuit, compile_model
from heclstm.compiler.kernels.activation import SQUARE_EXCESS_MAX, strands
from heclstm.compiler.kernels.recurrence import Gate
from heclstm.errors import LayoutError, ModelError
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.weights import Model, expected_shapes
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")
POINTS = np.linspace(-3, 3, 25)


def polynomial(coefficients, x):
    return sum(c * x**power for power, c in enumerate(coefficients))


# ── activations ────────────────────────────────────────────────────────────────────────────────────────────


C2_MIN = 0.5**2 / (4 * SQUARE_EXCESS_MAX)  # for c1 = 0.5


@pytest.mark.parametrize("c2", [C2_MIN, 0.2, 1.5, -C2_MIN, -0.7])
def test_a_quadratic_is_one_square(c2):
    """±u² + c0 − c1²/(4 c2), u = √|c2| (x + c1 / (2 c2)); 2^-52 of values up to 9 |c2| + c1²/(4 |c2|) ≤ 64."""
    coefficients = np.array([[0.3, 0.5, c2]])
    (strand,), scale, shift = strands(coefficients)
    u = strand.scale[0] * POINTS + strand.shift[0]
    assert np.abs(scale[0] * u**2 + shift[0] - polynomial(coefficients[0], POINTS)).max() <= 2.0**-52 * 64
    assert scale[0] == np.sign(c2)


@pytest.mark.parametrize("c2", [0.0, 1e-12, -1e-12, 0.99 * C2_MIN])
def test_one_flat_quadratic_turns_its_layer_to_horners_rule(c2):
    """Its vertex would lie at −c1 / (2 c2), far outside of the interval; (c2 x + c1) x + c0 has none."""
    coefficients = np.array([[0.3, 0.5, c2], [0.1, 0.2, 0.3]])
    (x, first), scale, shift = strands(coefficients)
    assert (x.scale.tolist(), x.shift.tolist()) == ([1, 1], [0, 0])
    assert np.array_equal(first.scale, coefficients[:, 2])
    assert np.array_equal(first.shift, coefficients[:, 1])
    assert np.array_equal(shift, coefficients[:, 0])
    assert scale.tolist() == [1, 1]


def test_values_beside_a_completed_square_stay_moderate():
    """|shift| ≤ |c0| + c1² / (4 |c2|): slots hold at most SQUARE_EXCESS_MAX more than the polynomial itself."""
    for c1 in (0.1, 1.0, 3.0):
        needed, _, shift = strands(np.array([[0.0, c1, c1**2 / (4 * SQUARE_EXCESS_MAX)]]))
        assert len(needed) == 1
        assert abs(shift[0]) <= SQUARE_EXCESS_MAX
        assert len(strands(np.array([[0.0, c1, 0.99 * c1**2 / (4 * SQUARE_EXCESS_MAX)]]))[0]) == 2


ONE_UNIT = AffineMap("z", sparse.csr_array([[1.0]]), np.zeros(1), (1, 1, 1))


# ── gates ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "coefficients",
    [
        [0.5, 0.2],
        [0.5, 0.2, 0.1],
        [0.5, 0.2, 0.1, -0.05],
        [0.5, 0.2, 0.0, -0.05],
        [0.0, 1.0, 0.5, 0.0],
        [0.5, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ],
)
def test_a_gate_is_its_polynomial(coefficients):
    """Horner's rule: (…(c_d z + c_{d−1}) z + …) z + c_0. Zero leading coefficients save products."""
    gate = Gate.of(np.array(coefficients), ONE_UNIT)
    value = gate.strands[-1].scale[0] * POINTS + gate.strands[-1].shift[0]
    for constant in gate.constants:
        value = value * POINTS + constant[0]
    assert np.abs(value - polynomial(coefficients, POINTS)).max() <= 2.0**-52 * 8
    degree = max([power for power, c in enumerate(coefficients) if c], default=1)
    assert len(gate.constants) == max(degree, 1) - 1


def test_a_gate_may_have_a_polynomial_for_each_unit():
    two = AffineMap("z", sparse.csr_array(np.eye(2)), np.zeros(2), (2, 1, 1))
    gate = Gate.of(np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]]), two)  # 2 z + 1, and (5 z + 4) z + 3
    assert [strand.scale.tolist() for strand in gate.strands] == [[1, 1], [0, 5]]
    assert [strand.shift.tolist() for strand in gate.strands] == [[0, 0], [2, 4]]
    assert [constant.tolist() for constant in gate.constants] == [[1, 3]]


# ── the recurrence and the vote, by hand ───────────────────────────────────────────────────────────────────


def by_hand():
    """One pixel, one hidden unit, two frames, gates z themselves: small whole numbers."""
    config = ModelConfig(2, 1, 1, 1, (BlockConfig(1, (1, 1), (1, 1), (0, 0)),), LstmConfig(1))
    values = {
        "blocks.0.weight": 1, "blocks.0.bias": 0, "blocks.0.coefficients": [0, 0, 1],  # s = x²
        "lstm.input_weight": [[1], [2], [3], [4]],
        "lstm.recurrent_weight": [[1], [0], [0], [-1]],
        "lstm.bias": [0, 1, 0, 0],
        "lstm.gate_coefficients": [[0, 1]] * 4,
        "lstm.cell_output_coefficients": [0, 1],
        "weighted_unit.spatial_weight": 2, "weighted_unit.temporal_weight": 4,
        "weighted_unit.spatial_bias": 1, "weighted_unit.temporal_bias": 3, "weighted_unit.alpha": 0.5,
        "vote.weight": [0.25, 0.75],
    }  # fmt: skip
    shapes = expected_shapes(config)
    return Model(config, {name: np.array(values[name], dtype=float).reshape(shape) for name, shape in shapes.items()})


def test_two_steps_and_a_vote_by_hand(run_clear):
    # Frames 1 and 2: s = 1, 4.
    # t=0: i, f, g, o = 1, 3, 3, 4:                     c = 1·3 = 3,            h = 4·3 = 12
    # t=1: i = 4 + 12, f = 8 + 1, g = 12, o = 16 − 12:  c = 9·3 + 16·12 = 219,  h = 4·219 = 876
    # y_t = (2 s + 1 + 4 h + 3) / 2:                    y = 27, 1758;  v·y = 6.75, 1318.5
    program = compile_circuit(by_hand(), TEST)
    slots = run_clear(program, np.array([1.0, 2.0]).reshape(1, 2, 1, 1, 1))[0]
    expected = [6.75 + 1318.5, 6.75, 1318.5]
    # 2^-52 for each of some ten operations on the way
    assert np.abs(slots[:3] / expected - 1).max() <= 10 * 2.0**-52
    assert not slots[3:].any()


@pytest.mark.parametrize("cell_output", ["identity", "cubic"])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_nothing_grows_outside_of_the_frame_of_a_step(degree, cell_output):
    """From the second step on, gates and states are exactly zero in the slots of all other frames.

    Else their polynomials would run on unbounded values there, and one overflow destroys all slots.
    """
    config = small_config(frames=3, lstm={"gate_degree": degree, "cell_output": cell_output})
    program = compile_circuit(random_model(config, seed=0), TEST)
    backend = ClearEvaluator(program.parameters.slots, program.parameters.moduli)
    packed = program.input_layout.pack(random_frames(config, 1, seed=0).reshape(1, 3, -1))
    level = program.input_level
    seen = set()

    def observe(operation, outputs):
        step = operation.layer.removeprefix("lstm.step")
        if step in ("1", "2") and isinstance(operation, SumOfProducts):
            by_frame = outputs[0].values.reshape(-1, 4)  # frames are innermost, T' = 4
            assert not np.delete(by_frame, int(step), axis=1).any(), operation.layer
            seen.add(step)

    value = backend.value(packed[:, 0], level, program.parameters.scales[level])
    Executor(program, backend).run([value], observe)
    assert seen == {"1", "2"}


# ── what cannot be compiled ────────────────────────────────────────────────────────────────────────────────


def exact(config):
    arrays = {name: np.full(shape, 0.5) for name, shape in expected_shapes(config).items()}
    return Model(config, arrays)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            small_config(blocks=(BlockConfig(2), BlockConfig(2, activation_degree=None))),
            "blocks.1.activation: got ReLU",
        ),
        (small_config(lstm={"gate_degree": None}), "lstm: got gate_degree None .* expected polynomials"),
        (small_config(lstm={"cell_output": "tanh"}), "cell_output 'tanh'.* expected polynomials"),
    ],
)
def test_exact_activations_are_refused(config, message):
    with pytest.raises(ModelError, match=message):
        compile_circuit(exact(config), TEST)


@pytest.mark.parametrize(("config", "message"), [
    (small_config(frames=4, lstm={"hidden_size": 8}), "lstm: .*need 32 slots, but a ciphertext has 16"),
    (small_config(frames=16, lstm={"hidden_size": 1}), "16 frames need 17 slots, but a ciphertext has 16"),
])  # fmt: skip
def test_a_state_or_result_that_no_ciphertext_holds_is_refused(config, message):
    with pytest.raises(LayoutError, match=message):
        compile_circuit(
            random_model(config, seed=0), Options(ring_degree=16, special_count=4, security="INSECURE_TEST")
        )


def test_a_program_knows_what_its_model_is_for():
    preparation = Preparation("frames", (3, 2, 8, 8), 3, 2, 8, 8)
    metadata = {"name": "adrenal", "operating_point": {"threshold": 0.3}, "preparation": preparation.to_json()}
    model = random_model(small_config(), seed=0).with_metadata(**metadata)
    card = compile_model(model, TEST).card
    (warning,) = card.model.warnings
    assert "never calibrated" in warning
    assert card.model == ModelFacts(name="adrenal", digest=model.digest, warnings=(warning,))
    assert card.operating_points == (OperatingPoint(0.3),)
    assert card.preparation == preparation
    assert card.purpose == Purpose.of(model)
