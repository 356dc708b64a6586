"""One set of keys for a whole program, and what the client packs for the first layer."""

from functools import cache

import numpy as np
import pytest
from scipy import sparse

from heclstm.circuit.cost import estimate
from heclstm.circuit.layout import ImageLayout, Patches
from heclstm.circuit.operations import LinearTransform
from heclstm.circuit.parameters import MAX_LOG_QP_128, choose
from heclstm.compiler.affine import AffineMap
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.compiler.demands import RELINEARIZATION, Demand, Use
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.patches import patched, reading
from heclstm.compiler.planner import plan_keys
from heclstm.compiler.rates import WORTH, Rates
from heclstm.errors import LayoutError
from random_models import random_frames, random_model, small_config

PARAMETERS = choose(8, slots_min=8, ring_degree=1024, security="INSECURE_TEST")
CONFIG = small_config(frames=3)


@cache
def compiled(prefer):
    options = Options(ring_degree=512, security="INSECURE_TEST", prefer=prefer)
    return compile_circuit(random_model(CONFIG, seed=1), options)


def demands(*shapes, worth=WORTH["balance"]):
    """Each (offsets, level, folds)."""
    found = []
    for offsets, level, folds in shapes:
        matrix = DiagonalMatrix(1, 1, 1, {(0, 0, k): np.ones(1) for k in offsets}, folds)
        found.append(Demand(matrix, level, Rates.at(level, 4, worth), PARAMETERS.slots))
    return found


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_for_the_highest_level_where_it_is_used():
    planned = plan_keys(demands(([0, 3], 7, ()), ([0, 3], 2, ())), [Use(5, 4)], PARAMETERS, 6.0)
    assert planned.levels == {3: 7, 5: 4}


def test_transforms_share_steps():
    """{0, 4} + {0, 32}: with the two that need both, nothing is new; three babies would be a key more."""
    shapes = [([0, 4, 32, 36], 5, ()), ([0, 4], 5, ()), ([0, 32], 5, ())]
    steps = set(plan_keys(demands(*shapes), [], PARAMETERS, 40.0).levels)
    assert {min(step, PARAMETERS.slots - step) for step in steps} == {4, 32}


@pytest.mark.parametrize(("worth", "walked"), [(0.01, False), (400.0, True)])
def test_a_step_is_walked_where_its_key_is_worth_more(worth, walked):
    """A fold by 16 is two turns by 8."""
    planned = plan_keys(demands(([0], 6, (16, 8)), worth=worth), [], PARAMETERS, worth)
    assert planned.walks == ({16: (8, 8)} if walked else {})
    assert planned.levels == ({8: 6} if walked else {8: 6, 16: 6})
    assert planned.walks_of(planned.splits[0], (16, 8), PARAMETERS.slots) == (((16, 8, 8),) if walked else ())


def test_a_rotation_is_walked_too():
    """By 16 as twice 8, whose key is there for a transform."""
    found = demands(([0, 8], 6, ()), worth=400.0)
    planned = plan_keys(found, [Use(16, 3)], PARAMETERS, 400.0)
    assert planned.walk(16) == (8, 8)
    assert planned.levels == {8: 6}


def test_a_fold_turns_the_way_that_has_a_key():
    """What is folded by 8 repeats after 16."""
    planned = plan_keys(demands(([0, -8], 6, ()), ([0], 6, (8,)), worth=40.0), [], PARAMETERS, 40.0)
    assert len(planned.levels) == 1
    (split, _), folds = planned.splits, planned.folds[1]
    (step,) = split.rotation_steps
    assert folds[0] % PARAMETERS.slots == step % PARAMETERS.slots


def test_keys_of_all_levels_have_the_special_primes_that_are_cheapest():
    """Two decompositions of one input cost more than a key of some more limbs. Nothing is above the security table."""
    parameters = choose(20, slots_min=1, price=lambda level, special: Rates.at(level, special, 4.0).typical)
    matrix = DiagonalMatrix(1, 1, 1, {(0, 0, k): np.ones(1) for k in range(16)})
    found = [Demand(matrix, level, Rates.at(level, 8, 4.0), parameters.slots) for level in (20, 18, 16)]
    planned = plan_keys(found, [Use(RELINEARIZATION, 19)], parameters, 4.0)
    changed = parameters.with_special(planned.special_counts)  # raises if it is not secure
    assert changed.log_qp <= MAX_LOG_QP_128[15]
    assert RELINEARIZATION not in planned.levels
    for level, special in enumerate(planned.special_counts):
        assert special in parameters.special_options(level)
        assert changed.log_qp_at(level) <= MAX_LOG_QP_128[15]


def test_special_primes_stay_as_they_were_asked_for():
    assert plan_keys(demands(([0, 3], 7, ())), [], PARAMETERS, 4.0).special_counts == ()


def test_what_is_preferred_is_saved():
    found = [estimate(compiled(prefer)) for prefer in ("keys", "balance", "time")]
    assert found[0].evaluation_key_bytes < found[1].evaluation_key_bytes <= found[2].evaluation_key_bytes
    assert found[0].rotation_keys < found[2].rotation_keys


@pytest.mark.parametrize("prefer", WORTH)
def test_every_preference_computes_the_same(prefer, run_clear):
    """Up to the rounding of float64: sums in another order."""
    frames = random_frames(CONFIG, 2, seed=3)
    found, expected = run_clear(compiled(prefer), frames), run_clear(compiled("balance"), frames)
    assert np.abs(found - expected).max() <= 1e-9


@pytest.mark.parametrize("prefer", WORTH)
def test_vectors_are_encoded_for_the_special_primes_of_their_babies(prefer):
    program = compiled(prefer)
    parameters, keys = program.parameters, program.needed_keys.rotations
    assert len(set(parameters.special_counts)) > 1
    for operation in program.operations:
        if isinstance(operation, LinearTransform):
            babies = {step % parameters.slots for step in operation.plan.babies} - {0}
            special = [parameters.special_at(keys[step]) for step in babies]
            assert operation.plan.special_count == max(special, default=parameters.special_at(operation.level))


# ── patches ────────────────────────────────────────────────────────────────────────────────────────────────


def convolution(channels, size, stride, rng, filters=2, kernel=3):
    """A convolution with padding 1, straight from its definition."""
    out = (size + 2 - kernel) // stride + 1
    weight = rng.integers(1, 9, (filters, channels, kernel, kernel)).astype(float)
    matrix = np.zeros((filters, out, out, channels, size, size))
    for y, x, dy, dx in np.ndindex(out, out, kernel, kernel):
        i, j = y * stride + dy - 1, x * stride + dx - 1
        if 0 <= i < size and 0 <= j < size:
            matrix[:, y, x, :, i, j] = weight[:, :, dy, dx]
    flat = matrix.reshape(filters * out * out, channels * size * size)
    return AffineMap("convolution", sparse.csr_array(flat), np.zeros(len(flat)), (filters, out, out))


@pytest.mark.parametrize(("size", "stride"), [(8, 1), (8, 2), (7, 2), (6, 3), (5, 2)])
def test_a_layer_reads_from_patches_what_it_reads_from_images(size, stride):
    rng = np.random.default_rng(0)
    affine = convolution(2, size, stride, rng)
    plain = ImageLayout(4096, 2, 2, size, size, 8, 8)
    images = rng.integers(-9, 10, (2, 2 * size * size)).astype(float)
    ways = list(patched(plain, affine))
    assert ways
    for layout in ways:
        read = reading(affine, layout)
        spread = layout.patches.of(images, 2, size, size)
        assert np.array_equal(read.matrix @ spread.T, affine.matrix @ images.T)
        assert np.array_equal(layout.spread.unpack(layout.pack(images)), spread)
        assert layout.ciphertexts <= plain.ciphertexts


def test_the_picture_of_patches():
    """The example of the docstring."""
    patches = Patches(1, 3, 1, 2, 0, -1, 1, 3)
    assert patches.of(np.arange(1.0, 7.0), 1, 1, 6).tolist() == [0, 2, 4, 1, 3, 5, 2, 4, 6]


def test_no_query_grows():
    """All nine taps of eight channels need 128 channels: there is no room for them."""
    affine = convolution(8, 8, 1, np.random.default_rng(0))
    assert list(patched(ImageLayout(512, 1, 8, 8, 8, 8, 8), affine)) == []


@pytest.mark.parametrize("change", [{"taps_y": 0}, {"height": -1}, {"first_x": 1 << 27}, {"stride_y": 1 << 40}])
def test_patches_that_no_image_has(change):
    sizes = {
        "height": 4,
        "width": 4,
        "stride_y": 1,
        "stride_x": 1,
        "first_y": 0,
        "first_x": 0,
        "taps_y": 3,
        "taps_x": 3,
    }
    with pytest.raises(LayoutError, match="every size of its patches must be 1 …"):
        Patches(**{**sizes, "first_y": 0, "first_x": 0, **change})


def test_a_layout_without_patches_is_written_as_before():
    layout = ImageLayout(512, 1, 1, 8, 8, 8, 8)
    assert "patches" not in layout.to_json()
    assert layout.spread is layout
    with_patches = ImageLayout(512, 1, 1, 8, 8, 8, 8, patches=Patches(8, 8, 1, 1, -1, -1, 2, 2))
    assert with_patches.to_json()["patches"]["taps_y"] == 2
    with pytest.raises(LayoutError, match="ask `spread`"):
        _ = with_patches.positions
