"""Nothing finer than the noise leaves the hospital's client."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
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
    """As docs/security.md derives: σ = 2^-15 after one rescale, ten times that in a score; 10^-3 is 3.6 times more."""
    scale = SHIPPED.parameters.scales[SHIPPED.result_level]
    assert math.log2(Noise(SHIPPED.parameters).rounding / scale) == pytest.approx(-15, abs=0.2)
    assert decimals(SHIPPED) == 3


@pytest.mark.parametrize(("bits", "expected"), [(29, 3), (27, 2), (23, 1), (20, 0), (12, 0)])
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


@given(st.floats(-20, 20), st.floats(-20, 20))
@example(0.0005, 0.0005)  # of which Python and NumPy make different numbers
def test_an_operating_point_with_more_digits_than_a_score_is_shown_as_it_divides(threshold, exact):
    """What reaches it reaches it rounded, and the numbers on a page say what was decided."""
    score, shown = rounded(np.array([exact]), SHIPPED)[0], border(threshold, SHIPPED)
    assert exact < threshold or score >= shown
    assert (score >= shown) == (float(f"{score:.3f}") >= float(f"{shown:.3f}"))
    assert abs(shown - threshold) <= 0.5e-3 + 1e-12
    assert not np.signbit(shown) or shown < 0


def test_a_diagnosis_is_not_below_a_number_that_looks_the_same():
    """+0.250 was called below an operating point of +0.2504, which every page writes as +0.250."""
    slots = np.zeros(128)
    slots[:3] = [0.25, 0.125, 0.125]
    point = structs.replace(tiny_card().operating_points[0], threshold=0.2504)
    found = read_result(slots, tiny_card(operating_points=(point,)))
    assert (found.decision, found.threshold) == ("positive", 0.25)
    exact = read_result(slots, tiny_card(operating_points=(point,)), unrounded=True)
    assert (exact.decision, exact.threshold) == ("negative", 0.2504)


@pytest.mark.parametrize(("limit", "expected"), [(1.0, 3), (5.517, 3), (12.2, 2), (50.0, 2), (70.0, 1), (1e9, 0)])
def test_programs_of_larger_scores_leave_less(limit, expected):
    """Their noise is larger: 1.4e-3 of a program calibrated to 12.2, whose third decimal was noise alone."""
    ranges = tuple(structs.replace(each, limit=limit) if each.name == "score" else each for each in SHIPPED.ranges)
    assert decimals(structs.replace(SHIPPED, ranges=ranges)) == expected
