"""Nothing finer than the noise leaves the hospital's client."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from heclstm.circuit.noise import Noise
from heclstm.deploy.diagnosis import read_result
from heclstm.deploy.rounding import AMPLIFICATION, DECIMALS_MAX, border, decimals, rounded
from heclstm.program.public import load_card
from tiny_program import tiny_card

SHIPPED = load_card(Path(__file__).parents[2] / "examples" / "adrenal" / "program")


def with_scale(card, bits):
    parameters = replace(card.parameters, scales=tuple(2.0**bits for _ in card.parameters.scales))
    return structs.replace(card, parameters=parameters)


def test_the_shipped_program_leaves_three_decimals():
    """As docs/security.md derives: σ = 2^-15 after one rescale, 2^-11 in a score; a step of 10^-3 is twice that."""
    scale = SHIPPED.parameters.scales[SHIPPED.result_level]
    assert math.log2(Noise(SHIPPED.parameters).rounding / scale) == pytest.approx(-15, abs=0.2)
    assert decimals(SHIPPED) == 3


@pytest.mark.parametrize(("bits", "expected"), [(29, 3), (27, 2), (22, 1), (20, 0), (12, 0)])
def test_less_precise_programs_leave_less(bits, expected):
    card = with_scale(SHIPPED, bits)
    assert decimals(card) == expected
    step = 10.0 ** -decimals(card)
    assert expected == 0 or step >= AMPLIFICATION * Noise(card.parameters).rounding / 2.0**bits


def test_precise_ones_leave_no_more_than_anyone_reads():
    assert decimals(tiny_card()) == DECIMALS_MAX == 3


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_what_is_rounded_moves_by_half_a_step_and_stays(values):
    array = np.array(values)
    once = rounded(array, SHIPPED)
    assert np.abs(once - array).max() <= 0.5e-3 + 1e-12
    assert (rounded(once, SHIPPED) == once).all()
    assert not np.signbit(once[once == 0]).any()


def test_a_diagnosis_holds_rounded_numbers_alone():
    """Its decision follows from what it holds, or a file would contradict itself."""
    slots = np.zeros(128)
    slots[:3] = [0.24999, 0.12341, 0.12658]
    found = read_result(slots, tiny_card())
    assert (found.scores, found.contributions) == ((0.25,), ((0.123,), (0.127,)))
    assert found.decision == "positive"  # at the operating point of 0.25
    exact = read_result(slots, tiny_card(), unrounded=True)
    assert exact.scores == (0.24999,)


@given(st.floats(-20, 20), st.integers(-20_000, 20_000))
def test_an_operating_point_with_more_digits_than_a_score_divides_as_it_is_shown(threshold, thousandths):
    score = rounded(np.array([thousandths / 1000]), SHIPPED)[0]
    shown = border(threshold, SHIPPED)
    assert (score >= threshold) == (score >= shown) == (float(f"{score:.3f}") >= float(f"{shown:.3f}"))
    assert 0 <= shown - threshold < 1e-3 + 1e-12


def test_a_diagnosis_is_not_below_a_number_that_looks_the_same():
    """+0.250 was called below an operating point of +0.2504, which every page writes as +0.250."""
    slots = np.zeros(128)
    slots[:3] = [0.25, 0.125, 0.125]
    point = structs.replace(tiny_card().operating_points[0], threshold=0.2504)
    found = read_result(slots, tiny_card(operating_points=(point,)))
    assert (found.decision, found.threshold) == ("negative", 0.251)
    exact = read_result(slots, tiny_card(operating_points=(point,)), unrounded=True)
    assert exact.threshold == 0.2504
