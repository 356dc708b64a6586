"""Any card survives its JSON, has one digest, and each of its fields is covered and named."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.model_facts import ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import CHOICES, Preparation
from heclstm.card.program_card import Card, different, program_digest
from heclstm.card.ranges import Range
from heclstm.card.temperature import Temperature
from heclstm.circuit.circuit import NeededKeys
from heclstm.circuit.layout import ImageLayout, ResultLayout
from heclstm.circuit.parameters import choose
from heclstm.errors import HeclstmError
from heclstm.storage.json import digest_of
from tiny_program import tiny_program

CIRCUIT = "c1" * 32
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
POSITIVE = st.floats(1e-9, 1e9)
SHARES = st.none() | st.floats(0, 1)
COUNTS = st.none() | st.integers(0, 10**6)
DIGESTS = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
# Letters, marks, digits, punctuation, symbols and spaces of all alphabets.
TEXTS = st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs")), max_size=40)
PARAMETERS = [choose(depth, slots_min=1, ring_degree=1 << 10, security="INSECURE_TEST") for depth in (3, 6)]
STATISTICS = st.builds(lambda name, low, width: Statistic(name, low, low + width), TEXTS, NUMBERS, st.floats(0, 1e9))
ENVELOPES = st.builds(
    Envelope,
    st.lists(STATISTICS, min_size=1, max_size=3, unique_by=lambda each: each.name).map(tuple),
    st.floats(0, 1),
    st.integers(0, 10**6),
)


def points(frames):
    point = st.builds(OperatingPoint, NUMBERS, SHARES, SHARES, SHARES, COUNTS, COUNTS, TEXTS, frames)
    return st.lists(point, max_size=4, unique_by=lambda each: each.frames).map(tuple)


@st.composite
def preparations(draw, frames, channels, height, width):
    """One that makes such a sequence of plain frames."""
    inner = [draw(st.integers(1, size)) for size in (channels, height, width)]
    colour = draw(st.sampled_from(("as_is", *({1: ("grey",), 3: ("rgb",)}.get(inner[0], ())))))
    resize, length = draw(st.sampled_from(CHOICES["resize"])), draw(st.sampled_from(CHOICES["length"]))
    sizes = (frames, channels, height, width)
    return Preparation("frames", (frames, *inner), *sizes, resize=resize, colour=colour, length=length)


@st.composite
def cards(draw):
    parameters = draw(st.sampled_from(PARAMETERS))
    frames, channels, height, width = (draw(st.integers(1, most)) for most in (4, 3, 8, 8))
    levels = st.integers(1, parameters.max_level)
    rotations = draw(st.dictionaries(st.integers(1, parameters.slots - 1), levels, max_size=5))
    facts = st.builds(ModelFacts, TEXTS, DIGESTS, TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple))
    ranges = st.lists(st.builds(Range, TEXTS, POSITIVE, POSITIVE), max_size=4, unique_by=lambda each: each.name)
    scale = st.builds(Temperature, POSITIVE, NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS, COUNTS, COUNTS, TEXTS)
    return Card(
        parameters=parameters,
        input_layout=ImageLayout(parameters.slots, frames, channels, height, width, 8, 8),
        result_layout=ResultLayout(parameters.slots, 1, 1, frames),
        input_level=draw(levels),
        result_level=draw(levels),
        keys=NeededKeys(draw(st.none() | levels), rotations),
        preparation=draw(st.none() | preparations(frames, channels, height, width)),
        operating_points=draw(points(st.none() | st.integers(1, frames))),
        ranges=tuple(draw(ranges)),
        temperature=draw(st.none() | scale),
        model=draw(facts),
        envelope=draw(st.just(msgspec.UNSET) | ENVELOPES),
    )


def shuffled(value, order):
    """The same JSON with its keys in another order."""
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: shuffled(value[name], order) for name in names}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(cards())
def test_a_card_survives_its_json(card):
    for options in ({}, {"ensure_ascii": False, "indent": 1}):
        again = Card.read(json.loads(json.dumps(card.to_json(), **options)), "card")
        assert again == card
        assert again.to_json() == card.to_json()


@given(cards(), st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_keys(card, order):
    again = Card.read(shuffled(json.loads(json.dumps(card.to_json())), order), "card")
    assert again.field_digests() == card.field_digests()
    assert program_digest(again, CIRCUIT) == program_digest(card, CIRCUIT)


@given(cards(), cards(), st.data())
def test_a_field_that_changed_changes_the_digest_and_is_named(card, other, data):
    name = data.draw(st.sampled_from(Card.__struct_fields__))
    stored, others = (json.loads(json.dumps(each.to_json())) for each in (card, other))
    changed = {key: value for key, value in stored.items() if key != name}
    changed |= {name: others[name]} if name in others else {}  # a field that older cards lack may be absent
    found = different(_digests(changed), card.field_digests())
    assert found == ([name] if changed.get(name, msgspec.UNSET) != stored.get(name, msgspec.UNSET) else [])
    try:  # where the other value fits into this card
        again = Card.read(changed, "card")
    except HeclstmError:  # anything else fails the test
        pass
    else:
        assert (program_digest(again, CIRCUIT) != program_digest(card, CIRCUIT)) == bool(found)


def _digests(data):
    return {name: digest_of(value) for name, value in data.items()}


def test_each_leaf_of_a_card_is_digested():
    """Each number and text of a real card, changed by hand in its JSON: exactly its field is named."""
    card = tiny_program().card
    original = json.loads(json.dumps(card.to_json()))
    leaves = list(_leaves(original))
    assert len(leaves) > 90
    for path, leaf in leaves:
        data = json.loads(json.dumps(original))
        place = data
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = f"{leaf}!" if isinstance(leaf, str) else 1 if leaf is None else leaf + 1
        assert different(_digests(data), card.field_digests()) == [path[0]], path


def _leaves(value, path=()):
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from _leaves(item, (*path, name))
    else:
        yield path, value


@given(st.dictionaries(st.sampled_from(Card.__struct_fields__), st.none() | NUMBERS | TEXTS | st.lists(NUMBERS)))
def test_whatever_else_stands_in_a_field_is_refused_by_our_errors(changes):
    data = {**json.loads(json.dumps(tiny_program().card.to_json())), **changes}
    try:
        card = Card.read(data, "card")
    except HeclstmError:  # anything else fails the test
        return
    assert different(_digests(data), card.field_digests()) == []
