"""What a hospital reads from decrypted slots, and what it refuses to read."""

import math

import numpy as np
import pytest

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.ranges import Range
from heclstm.card.temperature import Temperature
from heclstm.deploy.diagnosis import Diagnosis, read_result, require_name
from heclstm.errors import FileFormatError, InputError, RangeError, SequenceError
from heclstm.storage.typed import typed
from tiny_program import PURPOSE, tiny_card

LIMIT = 2.0  # of the score
PADDED = Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8, length="pad")
CALIBRATED = tiny_card(ranges=(Range("score", 1.0, LIMIT), Range("other", 9.0, 9.0)))
UNCALIBRATED = tiny_card(ranges=(Range("other", 0.1, 0.1),))


def slots(score, *contributions):
    """A result as it is decrypted: noise where nothing is, 2^-20 large."""
    values = np.random.default_rng(0).normal(0, 2.0**-20, 128)
    values[: 1 + len(contributions)] = [score, *contributions]
    return values


def test_a_result_becomes_a_diagnosis():
    found = read_result(slots(1.5, 0.5, 1.0), CALIBRATED, "case 7")
    assert found == Diagnosis((1.5,), ((0.5,), (1.0,)), 0.25, "case 7", 0.75, -1.5)
    assert found.decision == "positive"
    assert found.probability == pytest.approx(1 / (1 + math.exp(-(1.5 / 0.75 - 1.5))))
    assert read_result(slots(0.2, 0.1, 0.1), CALIBRATED).decision == "negative"
    assert read_result(slots(0.25, 0.25, 0.0), CALIBRATED).positive  # at the operating point, too


@pytest.mark.parametrize("score", [LIMIT, -LIMIT])
def test_a_score_up_to_its_limit_is_read(score):
    assert read_result(slots(score, score, 0.0), CALIBRATED).scores == (score,)


@pytest.mark.parametrize("score", [math.nextafter(LIMIT, 3), -math.nextafter(LIMIT, 3), 1e9, math.inf, math.nan])
def test_a_score_beyond_its_limit_is_refused(score):
    """The contributions sum to it, so that nothing else can refuse it. The message holds no score."""
    with np.errstate(invalid="ignore"), pytest.raises(RangeError, match="leaves the calibrated range ±2;") as caught:
        read_result(slots(score, score, 0.0), CALIBRATED)
    assert "1e+09" not in str(caught.value)


def test_a_score_of_real_frames_is_what_has_a_limit():
    """Padding has no vote: the sum of real frames is the score, and only that is compared."""
    card = tiny_card(ranges=(Range("score", 1.0, LIMIT),), preparation=PADDED)
    assert read_result(slots(9.0, 1.5, 7.5), card, frames=1).scores == (1.5,)
    with pytest.raises(RangeError, match="leaves the calibrated range"):
        read_result(slots(1.5, 9.0, -7.5), card, frames=1)


@pytest.mark.parametrize("infinite", [math.inf, math.nan])
def test_a_contribution_that_is_no_number_is_refused(infinite):
    for card in (CALIBRATED, UNCALIBRATED):
        with np.errstate(invalid="ignore"), pytest.raises(RangeError, match="leaves the calibrated range"):
            read_result(slots(1.0, 1.0, infinite), card)


@pytest.mark.parametrize(("drift", "refused"), [(0.0199, False), (-0.0199, False), (0.0201, True), (-0.0201, True)])
def test_contributions_must_sum_to_their_score(drift, refused):
    """Within a hundredth of the limit, 0.02: noise is a thousand times smaller, another result is not."""
    values = slots(1.0, 0.5, 0.5 + drift)
    if refused:
        with pytest.raises(RangeError, match=r"do not sum to its score within 0\.02; do not use this result"):
            read_result(values, CALIBRATED)
    else:
        assert read_result(values, CALIBRATED).scores == (1.0,)


@pytest.mark.parametrize(("score", "allowed"), [(0.3, 0.01), (50.0, 0.5)])
def test_without_calibration_the_sum_is_compared_with_the_score_itself(score, allowed):
    assert read_result(slots(score, score + 0.99 * allowed, 0.0), UNCALIBRATED).scores == (score,)
    with pytest.raises(RangeError, match=f"within {allowed:g};"):
        read_result(slots(score, score + 1.01 * allowed, 0.0), UNCALIBRATED)


def test_the_sum_is_compared_before_padding_is_taken_off():
    card = tiny_card(preparation=PADDED)
    with pytest.raises(RangeError, match="do not sum"):
        read_result(slots(0.5, 0.5, 0.5), card, frames=1)


def test_the_operating_point_is_that_of_the_real_frames():
    points = (OperatingPoint(0.25), OperatingPoint(0.75, frames=1))
    card = tiny_card(preparation=PADDED, operating_points=points)
    assert read_result(slots(1.0, 0.5, 0.5), card, frames=2).decision == "positive"
    assert read_result(slots(1.0, 0.5, 0.5), card, frames=1).decision == "negative"


def test_too_few_frames_are_not_assessable():
    """A third decision, without the probability that would be one in other words."""
    card = tiny_card(preparation=PADDED, operating_points=(OperatingPoint(0.25, frames=2),))
    found = read_result(slots(1.0, 0.5, 0.5), card, frames=1)
    assert (found.decision, found.decided, found.positive, found.probability) == ("not assessable", False, None, None)
    assert (found.threshold, found.scores) == (None, (0.5,))
    assert read_result(slots(1.0, 0.5, 0.5), card, frames=2).decision == "positive"
    assert found.to_json()["decision"] == found.to_json()["undecided"] == "not assessable"


def test_without_operating_point_there_is_no_decision():
    """0 is no operating point."""
    found = read_result(slots(0.1, 0.1, 0.0), tiny_card(operating_points=(), temperature=None))
    assert (found.threshold, found.positive, found.probability, found.offset) == (None, None, None, 0.0)
    assert found.decision == "no decision"
    assert "threshold" not in found.to_json()
    assert PURPOSE.temperature == Temperature(0.75, -1.5)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "x" * 201, "\ud800"])
def test_names_that_no_file_may_hold_are_refused(name):
    with pytest.raises(InputError, match="expected one line of text"):
        require_name(name)
    require_name("Ünal [Я] 😀")


def test_what_is_not_known_is_not_written():
    bare, whole = Diagnosis((1.0,), ((1.0,),), 0.0), Diagnosis((1.0,), ((1.0,),), 0.0, "a", 1.0, 0.0, 1)
    assert set(bare.to_json()) == {"scores", "contributions", "threshold", "name", "decision"}
    assert set(whole.to_json()) - set(bare.to_json()) == {"temperature", "offset", "probability", "frames"}


def test_a_diagnosis_agrees_with_itself():
    with pytest.raises(FileFormatError, match="its contributions are not those of its scores"):
        Diagnosis((1.0,), ((0.5, 0.5), (1.0, 0.0)), 0.0)
    assert Diagnosis((1.0,), ((1.0,),), 0.0, frames=1).frames == 1
    with pytest.raises(FileFormatError, match="more real frames than contributions"):
        Diagnosis((1.0,), ((1.0,),), 0.0, frames=2)
    for wrong in ({"threshold": None}, {"threshold": 0.0, "undecided": "no decision"}):
        with pytest.raises(FileFormatError, match="either an operating point, or why there is no decision"):
            Diagnosis((1.0,), ((1.0,),), **wrong)


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("scores", [[0.5], [0.5] * 64], [[], [0.5] * 65]),
        ("contributions", [[[0.5]], [[0.5]] * (1 << 16)], [[], [[0.5]] * ((1 << 16) + 1)]),
        ("frames", [1], [0]),
        ("temperature", [1e-9], [0.0]),
    ],
)
def test_the_limits_of_a_diagnosis(field, allowed, refused):
    """So much and no more, of a file that came from elsewhere."""
    for value in allowed:
        rows = [value] if field == "scores" else [[0.5]]
        typed({"scores": [0.5], "contributions": rows, "threshold": 0.0, field: value}, Diagnosis, "a diagnosis")
    for value in refused:
        with pytest.raises(FileFormatError, match=rf"a diagnosis: Expected .*\$\.{field}"):
            typed({"scores": [0.5], "contributions": [[0.5]], "threshold": 0.0, field: value}, Diagnosis, "a diagnosis")


def test_a_diagnosis_stays_as_it_was_made():
    found = read_result(slots(1.5, 0.5, 1.0), CALIBRATED)
    with pytest.raises(AttributeError):
        found.threshold = 9.0
    with pytest.raises(FileFormatError, match="a diagnosis: Object contains unknown field `mood`"):
        typed({"scores": [0.5], "contributions": [[0.5]], "threshold": 0.0, "mood": "good"}, Diagnosis, "a diagnosis")


def test_whoever_takes_short_sequences_must_be_told_how_short():
    """Else padding would vote."""
    with pytest.raises(SequenceError, match="this program takes 1 to 2 frames; say how many this sequence had"):
        read_result(slots(0.5, 0.25, 0.25), tiny_card(preparation=PADDED))


def test_the_first_score_is_that_of_a_positive():
    found = typed({"scores": [1.0, -1.0], "contributions": [[1.0, -1.0]], "threshold": 0.0}, Diagnosis, "a diagnosis")
    assert (found.score, found.decision, found.offset, found.probability) == (1.0, "positive", 0.0, None)
    scaled = Diagnosis((1.0, -1.0), ((1.0, -1.0),), 0.0, temperature=1.0)
    assert scaled.probability == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize(
    ("preparation", "allowed", "refused", "expected"),
    [(PADDED, [1, 2], [-1, 0, 3], "1 to 2"), (PURPOSE.preparation, [None, 2], [-1, 0, 1, 3], "2")],
)
def test_so_many_frames_can_be_real(preparation, allowed, refused, expected):
    card = tiny_card(preparation=preparation)
    for frames in allowed:
        assert read_result(slots(0.5, 0.25, 0.25), card, frames=frames).frames == (1 if frames == 1 else None)
    for frames in refused:
        with pytest.raises(SequenceError, match=rf"^result: got {frames} frames, expected {expected}$"):
            read_result(slots(0.5, 0.25, 0.25), card, frames=frames)
