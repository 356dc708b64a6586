"""The `kit` fixture: every backend, on both rings. What it finds follows from `circuit.noise` alone."""

from functools import cache
from zlib import crc32

import numpy as np
import pytest

from engine_kit import KITS, ROUNDINGS, predict
from laws import LAWS, RINGS


@pytest.fixture(scope="session", params=[f"{backend}, {ring}" for backend in KITS for ring in RINGS])
def kit(request):
    backend, ring = request.param.split(", ")
    kit = KITS[backend](RINGS[ring])
    yield kit
    kit.close()


@cache
def made(name, parameters):
    return LAWS[name](parameters, np.random.default_rng(crc32(name.encode())))


@cache
def prediction(name, parameters):
    law = made(name, parameters)
    return predict(law.run, law.expected, parameters, law.neighbours)


def check_law(name, kit):
    """Run a law on a kit: its level and scale are exact, its error is the predicted one."""
    law = made(name, kit.parameters)
    value = law.run(kit)
    assert value.level == law.level
    assert value.scale == law.scale
    errors = kit.decrypt(value) - law.expected
    if kit.exact:
        assert np.abs(errors).max() <= ROUNDINGS
    else:
        prediction(name, kit.parameters).judge(errors)


@pytest.fixture(scope="session")
def check():
    return check_law
