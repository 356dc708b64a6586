"""Every operation on every backend against NumPy; see tests/laws.py for the laws and engine_kit.py for the bounds."""

import numpy as np
import pytest

from engine_kit import KITS, CpuKit, SimulatedKit, small_parameters
from heclstm.circuit.noise import Noise
from laws import LAWS, RINGS


@pytest.mark.parametrize("name", LAWS)
def test_law(kit, check, name):
    check(name, kit)


@pytest.mark.parametrize("special_count", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["rotation by 3", "sum of 2 products", "transform: random plan 3"])
def test_any_number_of_special_primes(check, name, special_count):
    """A digit may be as large as P: its noise is not divided away, and is predicted all the same."""
    kit = CpuKit(small_parameters(special_count=special_count))
    check(name, kit)
    kit.close()


@pytest.mark.parametrize("backend", [name for name in KITS if name.startswith("cpu")])
@pytest.mark.parametrize("ring", ["conjugate_invariant", "standard"])
@pytest.mark.parametrize("degree", [16, 32, 64])
def test_the_smallest_rings(backend, ring, degree):
    """Shorter than the vectors of some processors. Few slots say little about an error: none is ten times as large."""
    kit = KITS[backend](small_parameters(ring, depth=3, degree=degree), steps=(1,))
    noise, level, scale = Noise(kit.parameters), kit.top, kit.parameters.scales[kit.top]
    bound = 10 * np.hypot(noise.encryption, np.hypot(noise.key_switch(level), noise.rounding)) / scale
    x = kit.vector()
    rotated = kit.evaluator.rotate(kit.encrypt(x), 1)
    assert np.sqrt(np.mean((kit.decrypt(rotated) - np.roll(x, -1)) ** 2)) <= bound
    plain = kit.evaluator.plaintext(np.array([0.5]), level, scale)
    half = kit.evaluator.multiply_plain(kit.encrypt(x), plain)
    assert np.sqrt(np.mean((kit.decrypt(half) - x / 2) ** 2)) <= bound
    kit.close()


class LoudNoise(Noise):
    """Ten times as loud in some of its parts."""

    def __init__(self, parameters, parts):
        super().__init__(parameters)
        object.__setattr__(self, "parts", parts)

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name not in PARTS or name not in super().__getattribute__("parts"):
            return found
        return (lambda *arguments: 10 * found(*arguments)) if callable(found) else 10 * found


PARTS = ("encryption", "rounding", "key_switch", "encoding")


def violated(check, parameters, parts):
    """Which laws notice that these parts of the noise are ten times as large."""
    found = set()
    for name in LAWS:
        kit = SimulatedKit(parameters)
        kit.evaluator.noise = LoudNoise(parameters, parts)
        try:
            check(name, kit)
        except AssertionError:
            found.add(name)
    return found


@pytest.mark.parametrize("ring", RINGS)
def test_ten_times_the_noise_breaks_every_law(check, ring):
    assert violated(check, RINGS[ring], PARTS) == set(LAWS)
    assert violated(check, RINGS[ring], ()) == set()


def test_ten_times_one_part_of_the_noise_is_noticed(check):
    """By every law in which that part counts, and by some part in every law.

    The key switch of a product works at the product's scale, where it is nothing beside the operands' own noise, as
    is the rounding of a plaintext; the engine's own tests compare these with Lattigo's bit for bit.
    """
    parameters = RINGS["standard"]  # with five digits as large as P
    fresh, rounding, switching = (violated(check, parameters, (part,)) for part in PARTS[:3])
    assert fresh | rounding | switching == set(LAWS)
    turned = {name for name in LAWS if name.startswith(("rotation", "transform"))}
    # Giant steps alone switch at the product's scale, too.
    unseen = {"rotation by 0", "transform: no rotation", "transform: nested and walked, no baby steps"}
    assert turned - unseen <= switching
    assert {name for name in LAWS if name.startswith(("product at", "squarings", "rotations compose"))} <= rounding
    assert {name for name in LAWS if name.startswith(("encryption", "addition", "dropped", "sum"))} <= fresh
