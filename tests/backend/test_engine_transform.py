"""linear_transform against the sum that defines it, for random plans."""

from dataclasses import replace

import numpy as np
import pytest

from engine_kit import Kit, small_parameters
from heclstm.backend.lattigo import Engine
from heclstm.circuit.operations import TransformPlan
from heclstm.errors import LevelError, MissingKeyError, ParameterError, ScaleError

LEVEL = 5


@pytest.fixture(scope="module", params=["conjugate_invariant", "standard"])
def kit(request):
    kit = Kit(small_parameters(request.param, depth=5))
    kit.load_rotations(*range(1, 20))
    yield kit
    kit.engine.close()


def make_plan(kit, rows, babies=(0,), chains=((0,),), n_inputs=1, n_outputs=1, period=None):
    """A plan with random vectors for rows of (output, chain, position, baby, input)."""
    prime, scales = kit.parameters.moduli[LEVEL], kit.parameters.scales
    plaintext_scale = scales[LEVEL - 1] * prime / scales[LEVEL]  # so that the rescale lands on the next scale
    vectors = kit.random.uniform(-1, 1, (len(rows), period or kit.parameters.slots))
    index = np.array(rows, dtype=np.int32)
    plaintext_scales, output_scale = (plaintext_scale,) * n_inputs, plaintext_scale * scales[LEVEL]
    return TransformPlan(LEVEL, n_inputs, n_outputs, babies, chains, index, vectors, plaintext_scales, output_scale)


def reference(plan, inputs):
    outputs = [np.zeros_like(inputs[0]) for _ in range(plan.n_outputs)]
    for (output, chain, position, baby, j), vector in zip(plan.index, plan.vectors, strict=True):
        full = np.tile(vector, len(inputs[j]) // len(vector))
        inner = full * np.roll(inputs[j], -plan.babies[baby])
        outputs[output] += np.roll(inner, -plan.chains[chain][position])
    return outputs


def check(kit, plan):
    inputs = [kit.vector() for _ in range(plan.n_inputs)]
    prepared = kit.engine.transform(plan)
    results = kit.engine.linear_transform([kit.encrypt(x, LEVEL) for x in inputs], prepared)
    terms = len(plan.index) / plan.n_outputs
    for result, expected in zip(results, reference(plan, inputs), strict=True):
        assert (result.level, result.scale) == (LEVEL, plan.output_scale)
        rescaled = kit.engine.rescale(result)
        assert rescaled.scale == kit.parameters.scales[LEVEL - 1]
        # Errors of the terms add up like independent ones; a Horner step adds one key switch.
        kit.assert_close(kit.decrypt(rescaled), expected, lost_bits=1 + max(0, np.log2(terms) / 2))
    return prepared


def test_baby_step_giant_step_is_a_dense_product(kit):
    """A 16 × 16 matrix on 16 periodic slots, as 4 baby and 4 giant steps."""
    matrix, x, size = kit.random.uniform(-1, 1, (16, 16)), kit.vector(16), 16
    diagonals = [np.array([matrix[i, (i + k) % size] for i in range(size)]) for k in range(size)]
    plan = make_plan(kit, [(0, 0, k // 4, k % 4, 0) for k in range(16)], (0, 1, 2, 3), ((0, 4, 8, 12),), period=16)
    for k in range(16):
        plan.vectors[k] = np.roll(diagonals[k], k // 4 * 4)
    result = kit.engine.linear_transform([kit.encrypt(x, LEVEL)], kit.engine.transform(plan))[0]
    copies = kit.parameters.slots // 16
    kit.assert_close(kit.decrypt(kit.engine.rescale(result)), np.tile(matrix @ x, copies), lost_bits=3)


@pytest.mark.parametrize("period", [1, 2, 4, 8, 16, 64, 128, 512])
def test_every_period(kit, period):
    check(
        kit,
        make_plan(kit, [(0, 0, k, b, 0) for k in range(2) for b in range(3)], (0, 1, 5), ((0, 7),), period=period),
    )


def test_without_rotations_no_key_is_needed_and_no_special_primes_are_stored(kit):
    rows = [(0, 0, 0, 0, 0), (1, 0, 0, 0, 1), (0, 0, 0, 0, 1)]
    prepared = check(kit, make_plan(kit, rows, n_inputs=2, n_outputs=2))
    assert prepared.bytes_in_memory == 3 * (LEVEL + 1) * 4 * kit.parameters.ring_degree
    rotated = check(kit, make_plan(kit, rows, (1,), n_inputs=2, n_outputs=2))
    limbs = LEVEL + 1 + len(kit.parameters.special_moduli)
    assert rotated.bytes_in_memory == 3 * limbs * 4 * kit.parameters.ring_degree


def test_more_terms_than_fit_into_one_accumulator(kit):
    check(kit, make_plan(kit, [(0, 0, 0, b % 4, 0) for b in range(100)], (0, 1, 2, 3)))


def test_chains_with_holes_heads_and_repeated_steps(kit):
    chains = ((3, 5, 9), (0, 0, 2), (4,), (-2, 1))
    rows = [
        (0, 0, 2, 0, 0),
        (0, 0, 0, 1, 0),
        (0, 1, 1, 0, 0),
        (1, 1, 2, 1, 0),
        (0, 2, 0, 0, 0),
        (1, 3, 1, 1, 0),
    ]
    kit.load_rotations(-2)
    check(kit, make_plan(kit, rows, (0, 1), chains, n_outputs=2))


def test_an_output_without_entries_is_zero(kit):
    plan = make_plan(kit, [(1, 0, 0, 0, 0)], n_outputs=3)
    results = kit.engine.linear_transform([kit.encrypt(kit.vector(), LEVEL)], kit.engine.transform(plan))
    assert not kit.decrypt(results[0]).any()
    assert not kit.decrypt(results[2]).any()


@pytest.mark.parametrize("seed", range(20))
def test_random_plans(kit, seed):
    random = np.random.default_rng(seed)
    n_inputs, n_outputs, n_babies = random.integers(1, 5, 3)
    babies = tuple(int(b) for b in random.integers(0, 8, n_babies))
    chains = tuple(
        tuple(int(step) for step in np.cumsum(random.integers(0, 5, random.integers(1, 5))))
        for _ in range(random.integers(1, 4))
    )
    rows = []
    for _ in range(random.integers(1, 80)):
        chain = random.integers(len(chains))
        position = random.integers(len(chains[chain]))
        rows.append((random.integers(n_outputs), chain, position, random.integers(n_babies), random.integers(n_inputs)))
    period = 1 << random.integers(0, 10)
    check(kit, make_plan(kit, rows, babies, chains, int(n_inputs), int(n_outputs), period))


def test_results_do_not_depend_on_the_number_of_threads(kit):
    rows = [(o, c, k, b, j) for o in range(2) for c in range(2) for k in range(2) for b in range(3) for j in range(2)]
    plan = make_plan(kit, rows, (0, 2, 3), ((0, 4), (1, 9)), 2, 2)
    inputs = [kit.encrypt(kit.vector(), LEVEL) for _ in range(2)]
    seen = set()
    for threads in (1, 2, 3, 8):
        kit.engine.set_threads(threads)
        results = kit.engine.linear_transform(inputs, kit.engine.transform(plan))
        seen.add(tuple(kit.engine.rescale(result).serialize() for result in results))
    kit.engine.set_threads(2)
    assert len(seen) == 1


def test_a_missing_key_is_named(kit):
    prepared = kit.engine.transform(make_plan(kit, [(0, 0, 0, 0, 0)], (0,), ((77,),)))
    with pytest.raises(MissingKeyError, match=f"rotation by 77 at level {LEVEL}"):
        kit.engine.linear_transform([kit.encrypt(kit.vector(), LEVEL)], prepared)


def test_wrong_inputs_are_refused(kit):
    prepared = kit.engine.transform(make_plan(kit, [(0, 0, 0, 0, 0)]))
    a = kit.encrypt(kit.vector(), LEVEL)
    with pytest.raises(ParameterError, match="got 2 inputs, expected 1"):
        kit.engine.linear_transform([a, a], prepared)
    with pytest.raises(LevelError, match="got levels 4 and 5"):
        kit.engine.linear_transform([kit.engine.drop_level(a, 4)], prepared)
    squared = kit.engine.multiply_plain(a, kit.engine.plaintext(np.ones(1), LEVEL, 2.0**20))
    with pytest.raises(ScaleError, match="linear_transform"):
        kit.engine.linear_transform([squared], prepared)


@pytest.mark.parametrize(
    ("row", "column"), [((1, 0, 0, 0, 0), 0), ((0, 1, 0, 0, 0), 1), ((0, 0, 1, 0, 0), 2), ((0, 0, 0, -1, 0), 3)]
)
def test_a_plan_is_checked(kit, row, column):
    with pytest.raises(ParameterError, match=f"entry 0: got -?1 in column {column}"):
        kit.engine.transform(make_plan(kit, [row]))


def test_a_plan_of_the_wrong_shape_is_refused(kit):
    with pytest.raises(ParameterError, match="the last a power of two"):
        kit.engine.transform(make_plan(kit, [(0, 0, 0, 0, 0)], period=3))
    plan = make_plan(kit, [(0, 0, 0, 0, 0)])
    plan.vectors[0, 0] = np.nan
    with pytest.raises(ParameterError, match="not finite"):
        kit.engine.transform(plan)


def test_a_compact_transform_takes_two_words_a_coefficient():
    """Instead of one for every limb of QP."""
    parameters = small_parameters(depth=6)
    vectors = np.linspace(-1, 1, 3 * 256).reshape(3, 256)
    index = np.array([(0, 0, 0, baby, 0) for baby in range(3)], dtype=np.int32)
    scale = parameters.scales[-1]
    plan = TransformPlan(parameters.max_level, 1, 1, (0, 1, 2), ((0,),), index, vectors, (scale,), scale**2)
    sizes = {}
    for compact in (False, True):
        with Engine(parameters, compact=compact) as engine:
            sizes[compact] = engine.transform(plan).bytes_in_memory
    limbs = parameters.max_level + 1 + len(parameters.special_moduli)
    assert sizes[False] == 3 * 256 * 4 * limbs
    assert sizes[True] == 3 * 256 * 8
    with Engine(parameters, compact=True) as engine, pytest.raises(ParameterError, match=r"exceeds 2\^62"):
        engine.transform(replace(plan, plaintext_scales=(2.0**70,), output_scale=2.0**70 * scale))
