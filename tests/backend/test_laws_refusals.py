"""What every backend refuses, and how it says so."""

import numpy as np
import pytest

from heclstm.errors import LevelError, ParameterError, ScaleError
from laws import LEVEL, make_plan


@pytest.fixture
def fresh(kit):
    return kit.encrypt(kit.vector(), LEVEL)


def test_different_levels(kit, fresh):
    ev, scale = kit.evaluator, fresh.scale
    lower, plain = kit.encrypt(kit.vector(), 3), kit.evaluator.plaintext(np.ones(1), 3, scale)
    for name, operation in {
        "add": lambda: ev.add(fresh, lower),
        "add_plain": lambda: ev.add_plain(fresh, plain),
        "multiply_plain": lambda: ev.multiply_plain(fresh, plain),
    }.items():
        with pytest.raises(LevelError, match=rf"{name}: got levels 5 and 3, expected the same"):
            operation()
    with pytest.raises(LevelError, match="sum_of_products: got levels 3 and 5"):
        ev.sum_of_products([(fresh, lower)])


def test_different_scales(kit, fresh):
    ev, scale = kit.evaluator, fresh.scale
    plain = ev.plaintext(np.ones(1), LEVEL, scale * (1 + 2.0**-39))
    product = ev.multiply_plain(fresh, plain)
    with pytest.raises(ScaleError, match=r"add: got scales 2\^\d+\.\d+ and 2\^5\d\.\d+, expected the same"):
        ev.add(fresh, product)
    with pytest.raises(ScaleError, match="add_plain: got scales"):
        ev.add_plain(fresh, plain)
    with pytest.raises(ScaleError, match="sum_of_products: got scales"):
        ev.sum_of_products([(fresh, fresh), (fresh, product)])
    close_enough = ev.plaintext(np.ones(1), LEVEL, scale * (1 + 2.0**-41))
    assert ev.add_plain(fresh, close_enough).scale == scale


def test_levels_out_of_range(kit, fresh):
    ev = kit.evaluator
    for level in (LEVEL + 1, -1):
        with pytest.raises(LevelError, match=f"drop_level: got {level}, expected 0 … {LEVEL}"):
            ev.drop_level(fresh, level)
    with pytest.raises(LevelError, match="rescale: got level 0, expected at least 1"):
        ev.rescale(ev.drop_level(fresh, 0))


def test_no_pairs(kit):
    with pytest.raises(ParameterError, match="sum_of_products: got no pairs, expected at least one"):
        kit.evaluator.sum_of_products([])


def test_inputs_that_do_not_fit_a_transform(kit, fresh):
    ev = kit.evaluator
    prepared = ev.transform(make_plan(kit.parameters, kit.random, [(0, 0, 0, 0, 0)]))
    with pytest.raises(ParameterError, match="linear_transform: got 2 inputs, expected 1"):
        ev.linear_transform([fresh, fresh], prepared)
    with pytest.raises(LevelError, match="linear_transform: got levels 4 and 5"):
        ev.linear_transform([ev.drop_level(fresh, 4)], prepared)
    squared = ev.multiply_plain(fresh, ev.plaintext(np.ones(1), LEVEL, 2.0**20))
    with pytest.raises(ScaleError, match="linear_transform: got scales"):
        ev.linear_transform([squared], prepared)


def test_an_output_without_entries_is_zero(kit, fresh):
    plan = make_plan(kit.parameters, kit.random, [(1, 0, 0, 0, 0)], n_outputs=3)
    results = kit.evaluator.linear_transform([fresh], kit.evaluator.transform(plan))
    assert len(results) == 3
    if kit.exact or hasattr(kit, "secret"):  # the simulator adds noise everywhere
        assert not kit.decrypt(results[0]).any()
        assert not kit.decrypt(results[2]).any()
