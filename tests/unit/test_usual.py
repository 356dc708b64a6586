"""Whether images look like those of training: what is said, and that nothing is sent without a reason."""

import numpy as np
import pytest
from msgspec import UNSET, structs

from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.data.sequence import ImageSequence
from heclstm.data.statistics import statistics
from heclstm.deploy.usual import envelope_facts, first_of, require_usual
from heclstm.errors import EnvelopeError

SEQUENCE = ImageSequence(np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32), "case 7")
PURPOSE = Purpose(preparation=Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8))
FOUND = statistics(SEQUENCE, PURPOSE.preparation)


def purpose(shift):
    """One that finds every statistic of this sequence usual, or too low."""
    limits = tuple(Statistic(name, value + shift, value + shift) for name, value in FOUND.items())
    return structs.replace(PURPOSE, envelope=Envelope(limits, 1.0, 1))


WORDS = tuple(f"{name} is below {value + 1:.3g}" for name, value in FOUND.items())


def test_nothing_is_asked_where_no_envelope_is_known():
    assert PURPOSE.envelope is UNSET
    assert require_usual(PURPOSE, SEQUENCE) == ()
    assert envelope_facts(PURPOSE, SEQUENCE, "a reason") == {}


def test_usual_images_are_taken():
    for override in ("", "a reason"):
        assert require_usual(purpose(0), SEQUENCE, override) == ()
        assert envelope_facts(purpose(0), SEQUENCE, override) == {"envelope": "inside"}


def test_unusual_ones_are_taken_for_a_reason_alone():
    assert len(WORDS) > 3
    with pytest.raises(EnvelopeError, match=r"case 7: unlike the images .*: .*; and \d+ more\. Look at them") as raised:
        require_usual(purpose(1), SEQUENCE)
    assert "; ".join(WORDS[:3]) in str(raised.value)
    assert require_usual(purpose(1), SEQUENCE, "a phantom") == WORDS
    for override in ("", "a phantom"):
        facts = {"envelope": "outside", "outside": WORDS, "override": override}
        assert envelope_facts(purpose(1), SEQUENCE, override) == facts


def test_the_first_of_many_are_said():
    assert [first_of("abcde"[:count]) for count in range(6)] == [
        "", "a", "a; b", "a; b; c", "a; b; c; and 1 more", "a; b; c; and 2 more",
    ]  # fmt: skip
