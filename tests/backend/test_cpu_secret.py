"""Secret keys and what is made with them: files, randomness, the width of errors, and what closing leaves."""

import numpy as np
import pytest

from engine_kit import CpuKit, small_parameters
from heclstm.backend.cpu.secret import Decryptor, Encryptor, SecretKey, wipe
from heclstm.circuit import sizes
from heclstm.circuit.noise import Noise


@pytest.fixture(scope="module", params=["conjugate_invariant", "standard"])
def kit(request):
    kit = CpuKit(small_parameters(request.param, depth=3), steps=())
    yield kit
    kit.close()


def close(kit, found, expected, level):
    """Within a fresh encryption's error: six times its root mean square, in every slot of a few thousand."""
    return np.abs(found - expected).max() < 6 * Noise(kit.parameters).encryption / kit.parameters.scales[level]


def test_ciphertexts_survive_the_wire(kit):
    x = kit.vector()
    for seeded in (True, False):
        a = kit.encrypt(x, seeded=seeded)
        data = a.serialize()
        again = kit.context.load_ciphertext(data, level=a.level)
        assert again.serialize() == data
        assert close(kit, kit.decrypt(again), x, a.level)


def test_seeded_is_half_of_unseeded(kit):
    seeded, full = (len(kit.encryptor.encrypt(kit.vector(), level=4, seeded=seeded)) for seeded in (True, False))
    assert full - sizes.HEADER_BYTES == 2 * (seeded - sizes.HEADER_BYTES - sizes.SEED_BYTES)


def test_two_encryptions_share_nothing(kit):
    values = kit.vector()
    first, second = (kit.encryptor.encrypt(values, level=2) for _ in range(2))
    assert first[:40] == second[:40]
    assert first[40:72] != second[40:72]  # seeds
    assert first[72:] != second[72:]


def test_a_secret_key_survives_its_file(kit):
    data = kit.secret.serialize()
    assert len(data) == sizes.secret_key_bytes(kit.parameters)
    x = kit.vector()
    for copy in (data, bytes(data)):
        again = SecretKey.load(kit.context, copy)
        assert again.serialize() == data
        assert close(kit, Decryptor(kit.context, again).decrypt(kit.encrypt(x)), x, kit.top)
        back = kit.context.load_ciphertext(Encryptor(kit.context, again).encrypt(x, level=2), level=2)
        assert close(kit, kit.decrypt(back), x, 2)
        again.close()


def test_a_copy_of_the_secret_can_be_wiped(kit):
    data = kit.secret.serialize()
    alias = memoryview(data)
    wipe(data)
    assert not any(alias)
    alias.release()


def test_the_secret_is_uniform_ternary(kit):
    """Thirds of −1, 0 and 1; six standard deviations of a multinomial count are allowed."""
    codes = np.frombuffer(kit.secret.serialize()[40:], dtype=np.uint8)
    coefficients = np.stack([codes >> shift & 3 for shift in (0, 2, 4, 6)]).ravel()
    degree = kit.parameters.ring_degree
    assert len(coefficients) == degree
    counts = np.bincount(coefficients, minlength=4)
    assert counts[3] == 0
    assert np.abs(counts[:3] - degree / 3).max() < 6 * np.sqrt(degree * 2 / 9)


def test_fresh_errors_have_the_promised_width(kit):
    """σ = 3.19: slots of the error have a variance of 2N σ² (N/2 σ² in the standard ring), plus rounding."""
    x = np.zeros(kit.parameters.slots)
    errors = np.concatenate([kit.decrypt(kit.encrypt(x, 2)) for _ in range(20)]) * kit.parameters.scales[2]
    degree = kit.parameters.ring_degree
    gain = 2 * degree if kit.parameters.ring == "conjugate_invariant" else degree / 2
    assert errors.std() == pytest.approx(3.19 * np.sqrt(gain), rel=0.05)


def test_every_secret_differs(kit):
    assert kit.generator.secret_key().serialize() != kit.secret.serialize()


def test_subtraction(kit):
    """An operation of the engine that no circuit asks for yet."""
    x, y = kit.vector(), kit.vector()
    difference = kit.evaluator.subtract(kit.encrypt(x, 2), kit.encrypt(y, 2))
    assert (difference.level, difference.scale) == (2, kit.parameters.scales[2])
    assert close(kit, kit.decrypt(difference) / 2, (x - y) / 2, 2)
