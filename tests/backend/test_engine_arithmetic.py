"""Every operation of the engine against NumPy, on small rings of both types."""

import numpy as np
import pytest

from engine_kit import Kit, small_parameters

RINGS = ["conjugate_invariant", "standard"]


@pytest.fixture(scope="module", params=RINGS)
def kit(request):
    kit = Kit(small_parameters(request.param))
    kit.load_relinearization()
    kit.load_rotations(1, 2, 3, -1, 100)
    yield kit
    kit.engine.close()


@pytest.mark.parametrize("seeded", [True, False])
@pytest.mark.parametrize("level", [1, 3, 7])
def test_decryption_returns_what_was_encrypted(kit, level, seeded):
    values = kit.vector()
    ciphertext = kit.encrypt(values, level, seeded)
    assert (ciphertext.level, ciphertext.scale) == (level, kit.parameters.scales[level])
    kit.assert_close(kit.decrypt(ciphertext), values)


def test_a_period_is_repeated(kit):
    values = kit.vector(4)
    kit.assert_close(kit.decrypt(kit.encrypt(values)), np.tile(values, kit.parameters.slots // 4))


def test_two_encryptions_share_nothing(kit):
    values = kit.vector()
    first, second = (kit.encryptor.encrypt(values, level=2) for _ in range(2))
    assert first[:40] == second[:40]
    assert first[40:72] != second[40:72]  # seeds
    assert first[72:] != second[72:]


def test_add_and_subtract(kit):
    x, y = kit.vector(), kit.vector()
    a, b = kit.encrypt(x), kit.encrypt(y)
    kit.assert_close(kit.decrypt(kit.engine.add(a, b)), x + y)
    kit.assert_close(kit.decrypt(kit.engine.subtract(a, b)), x - y)


@pytest.mark.parametrize("period", [1, 2, 8, 32, 256, 512])
def test_plain_operands_of_every_period(kit, period):
    x, y = kit.vector(), kit.vector(period)
    full = np.tile(y, kit.parameters.slots // period)
    a = kit.encrypt(x, 4)
    plain = kit.engine.plaintext(y, 4, a.scale)
    kit.assert_close(kit.decrypt(kit.engine.add_plain(a, plain)), x + full)
    product = kit.engine.multiply_plain(a, plain)
    assert (product.level, product.scale) == (4, a.scale * a.scale)
    kit.assert_close(kit.decrypt(product), x * full)


def test_a_short_plaintext_takes_less_memory(kit):
    long, short = (kit.engine.plaintext(kit.vector(period), 4, 2.0**29) for period in (512, 32))
    assert long.bytes_in_memory == 16 * short.bytes_in_memory


@pytest.mark.parametrize("pairs", [1, 2, 9, 33])
def test_sum_of_products_keeps_the_level_and_multiplies_scales(kit, pairs):
    xs, ys = ([kit.vector() for _ in range(pairs)] for _ in range(2))
    result = kit.engine.sum_of_products([(kit.encrypt(x), kit.encrypt(y)) for x, y in zip(xs, ys, strict=True)])
    assert (result.level, result.scale) == (kit.top, kit.parameters.scales[kit.top] ** 2)
    expected = sum(x * y for x, y in zip(xs, ys, strict=True))
    kit.assert_close(kit.decrypt(result), expected, lost_bits=1 + np.log2(pairs) / 2)


def test_an_evaluation_key_serves_lower_levels(kit):
    x = kit.vector()
    for level in range(1, kit.top + 1):
        a = kit.encrypt(x, level)
        kit.assert_close(kit.decrypt(kit.engine.rotate(a, 3)), np.roll(x, -3))
        if level > 1:  # two primes hold a product only after the rescale
            kit.assert_close(kit.decrypt(kit.engine.sum_of_products([(a, a)])), x * x, lost_bits=1)


def test_drop_level_keeps_value_and_scale(kit):
    x = kit.vector()
    a = kit.encrypt(x)
    dropped = kit.engine.drop_level(a, 2)
    assert (dropped.level, dropped.scale) == (2, a.scale)
    kit.assert_close(kit.decrypt(dropped), x)


@pytest.mark.parametrize("step", [0, 1, 3, -1, 100])
def test_rotation_is_a_cyclic_shift_to_the_left(kit, step):
    x = kit.vector()
    kit.assert_close(kit.decrypt(kit.engine.rotate(kit.encrypt(x), step)), np.roll(x, -step))


def test_rotations_compose_and_wrap_around(kit):
    x, engine = kit.vector(), kit.engine
    a = kit.encrypt(x)
    twice = engine.rotate(engine.rotate(a, 1), 2)
    kit.assert_close(kit.decrypt(twice), np.roll(x, -3))
    kit.assert_close(kit.decrypt(engine.rotate(a, kit.parameters.slots + 1)), np.roll(x, -1))
    kit.assert_close(kit.decrypt(engine.rotate(a, kit.parameters.slots - 1)), np.roll(x, 1))


def test_ten_squarings_meet_the_ladder_of_scales_exactly():
    """Plain rescaling doubles the scale's deviation at each product; the ladder does not let it grow at all."""
    kit = Kit(small_parameters(depth=10))
    kit.load_relinearization()
    x = kit.random.choice([-1.0, 1.0], kit.parameters.slots)
    a = kit.encrypt(x)
    for level in range(kit.top - 1, 0, -1):
        a = kit.engine.rescale(kit.engine.sum_of_products([(a, a)]))
        assert (a.level, a.scale) == (level, kit.parameters.scales[level])
    # A squaring of ±1 doubles a relative error, and the errors of all ten add up: 1 + 2 + … + 2^10.
    kit.assert_close(kit.decrypt(a), np.ones_like(x), lost_bits=11)


@pytest.mark.parametrize("special_count", [1, 2, 3, 4])
def test_any_number_of_special_primes(special_count):
    """A digit as large as P costs up to six bits, as its noise is not divided away."""
    kit = Kit(small_parameters(depth=5, special_count=special_count))
    kit.load_relinearization()
    kit.load_rotations(5)
    x = kit.vector()
    a = kit.encrypt(x)
    kit.assert_close(kit.decrypt(kit.engine.rotate(a, 5)), np.roll(x, -5), lost_bits=6)
    kit.assert_close(kit.decrypt(kit.engine.sum_of_products([(a, a)])), x * x, lost_bits=6)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("degree", [16, 32, 64])
def test_the_smallest_rings(ring, degree):
    kit = Kit(small_parameters(ring, depth=3, degree=degree))
    kit.load_rotations(1)
    x = kit.vector()
    kit.assert_close(kit.decrypt(kit.engine.rotate(kit.encrypt(x), 1)), np.roll(x, -1))
    plain = kit.engine.plaintext(np.array([0.5]), 4, 2.0**29)
    kit.assert_close(kit.decrypt(kit.engine.multiply_plain(kit.encrypt(x), plain)), x / 2)
