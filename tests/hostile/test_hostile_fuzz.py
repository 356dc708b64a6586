"""A few hundred mutations for everything that reads bytes of strangers; `make fuzz` tries 200,000."""

import random
import resource
from dataclasses import replace

import pytest

from hostile.fuzz.keep import BYTES_MAX, FILES_MAX, smallest
from hostile.fuzz.mutate import mutated, mutated_json
from hostile.fuzz.run import fuzz, tried
from hostile.fuzz.targets import FOUND, TARGETS

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


@pytest.mark.parametrize("name", [name for name in TARGETS if (FOUND / name).is_dir()])
def test_what_searches_found_is_read_or_refused(name):
    """By coverage, and by reasons to refuse: what reached new ones once, so that each run reaches those places."""
    target = TARGETS[name]
    assert 0 < len(target.found) <= FILES_MAX
    assert all(len(content) < BYTES_MAX for content in target.found)
    reasons = {tried(target, content)[0] for content in target.found}
    assert len(reasons) >= 5
    assert not set(target.found) & set(target.seeds)


def test_of_each_reason_the_smallest_is_kept():
    target = TARGETS["secret"]
    long, short = b"x" * 9, b"xy"  # both truncated
    known = replace(target, name="nobody's")  # without finds of its own
    assert smallest(known, [long, short, target.seeds[0] + b"tail"]) == [short, target.seeds[0] + b"tail"]
    assert smallest(target, [long, short]) == []  # its reason is there
    assert smallest(known, [b"x" * BYTES_MAX]) == []


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
