"""A few hundred mutations for everything that reads bytes of strangers; `make fuzz` tries 200,000."""

import random
import resource

import pytest

from hostile.fuzz.mutate import mutated, mutated_json
from hostile.fuzz.run import fuzz
from hostile.fuzz.targets import TARGETS

MUTATIONS = 400
MEMORY_MAX = 200 << 20  # bytes; of which pydicom and its decoders are most


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_are_read_or_refused(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = fuzz(name, MUTATIONS)
    assert outcome.count == MUTATIONS
    assert MUTATIONS // 2 < outcome.refused <= MUTATIONS
    assert len(outcome.reasons) >= 2, "mutations do not get far"
    assert outcome.memory - 1024 * before < MEMORY_MAX


def test_a_fault_is_told_with_its_input(monkeypatch):
    target = TARGETS["npy"]
    monkeypatch.setattr(type(target), "refusal", lambda self, content: None if content in self.seeds else 1 / 0)
    with pytest.raises(AssertionError, match="npy: ZeroDivisionError: division by zero\ninput: [0-9a-f]+"):
        fuzz("npy", 10)


def test_mutations_differ_from_their_seed_and_come_again():
    seed, document = b"0123456789" * 9, TARGETS["card"].seeds[0]
    for make in (lambda rng: mutated(seed, rng, (b"word",), (b"other",)), lambda rng: mutated_json(document, rng)):
        found = {make(random.Random(number)) for number in range(60)}
        assert len(found) > 50
        assert make(random.Random(7)) == make(random.Random(7))
