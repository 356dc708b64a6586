"""Measured prices on disk: whose they are, and when they are measured anew."""

import json

import pytest

from heclstm.backend import prices
from heclstm.backend.prices import Primitives, machine_name
from heclstm.circuit.cost import UNITS
from heclstm.circuit.parameters import choose
from heclstm.errors import FileFormatError

PARAMETERS = choose(2, slots_min=8, ring_degree=64, security="INSECURE_TEST")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Prices of this machine, stored."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = Primitives(machine_name(), 2, {unit: ([1, 3], [0.5, 1.5]) for unit in UNITS})
    prices.store(made, PARAMETERS)
    return made


def changed(**fields):
    path = prices.stored_path(PARAMETERS, 2)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_stored_prices_are_found_again(kept):
    assert prices.load(PARAMETERS, 2) == kept
    assert prices.load(PARAMETERS, 1) is None


def test_prices_of_another_machine_are_not_used(kept):
    changed(machine="a machine of somebody else")
    assert prices.load(PARAMETERS, 2) is None


def test_prices_that_lack_a_unit_are_not_used(kept):
    tables = {unit: [[1], [1.0]] for unit in UNITS[1:]}
    changed(tables=tables)
    assert prices.load(PARAMETERS, 2) is None


def test_damaged_prices_are_refused(kept):
    changed(tables=dict.fromkeys(UNITS))
    with pytest.raises(FileFormatError, match="primitives: a field is missing or of the wrong type"):
        prices.load(PARAMETERS, 2)


def test_between_levels_a_price_is_interpolated(kept):
    assert [kept.seconds("rotate", level) for level in (0, 1, 2, 3, 9)] == [0.5, 0.5, 1.0, 1.5, 1.5]
