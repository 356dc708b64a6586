"""What a card may say, what it is digested to, and what of it a hospital refuses before it does any work."""

import math
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from msgspec import structs

from heclstm.card import bounds
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.program_card import Card, ProgramCard, different, program_digest
from heclstm.card.purpose import Purpose
from heclstm.card.ranges import Range
from heclstm.circuit.circuit import NeededKeys
from heclstm.circuit.layout import ImageLayout, ResultLayout
from heclstm.circuit.parameters import choose
from heclstm.circuit.sizes import ciphertext_bytes, evaluation_key_bytes
from heclstm.errors import DigestError, FileFormatError, HeclstmError, NotAssessableError, SequenceError
from heclstm.storage.json import canonical, digest_of
from heclstm.storage.typed import plain, typed
from random_models import random_model, small_config
from tiny_program import PURPOSE, tiny_card, tiny_program

NAN = float("nan")


def written(**changes):
    """A card as JSON, with other fields."""
    return {**tiny_program().card.to_json(), **changes}


# ── what it may say ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "a\nb", "a\n", "\r", "\x00", "\x7f", "\x85", "\u2028", "\u202eabc", "\u2066", "\ud800", "x" * 201],
)
@pytest.mark.parametrize("field", ["name", "dataset", "licence"])
def test_text_is_one_printable_line_of_a_sane_length(field, text):
    """What a terminal or a page would not show as it is."""
    with pytest.raises(FileFormatError, match=rf"card: Expected `str` .*\$\.model\.{field}"):
        typed(written(model={field: text}), Card, "card")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"attribution": "x" * 4001}}, "length <= 4000"),
        ({"model": {"attribution": 7}}, "Expected `str`, got `int`"),
        (
            {"model": {"warnings": ["ok", "\x07"]}},
            r"on one line, without control characters - at `\$\.model\.warnings\[1\]",
        ),
        ({"model": {"warnings": ["a"] * 17}}, "length <= 16"),
        ({"model": {"digest": "AB" * 32}}, "of 64 hex digits"),
        ({"model": {"digest": "ab" * 31}}, "of 64 hex digits"),
        ({"operating_points": [{"threshold": "abc"}]}, "Expected `float`, got `str`"),
        ({"operating_points": [{"threshold": True}]}, "Expected `float`, got `bool`"),
        ({"operating_points": [{"threshold": NAN}]}, "Expected `float`"),
        ({"operating_points": [{"threshold": math.inf}]}, "Expected `float`"),
        ({"operating_points": [{"threshold": 10**400}]}, "Number out of range"),
        ({"operating_points": [{"threshold": 0.0, "sensitivity": "x"}]}, "Expected `float | null`, got `str`"),
        ({"operating_points": [{"threshold": 0.0, "specificity": 1.1}]}, "<= 1.0"),
        ({"operating_points": [{"threshold": 0.0, "positives": -1}]}, ">= 0"),
        ({"operating_points": [{"threshold": 0.0, "frames": 0}]}, ">= 1"),
        ({"operating_points": [{"threshold": 0.0, "frames": 65537}]}, "<= 65536"),
        ({"operating_points": [{"threshold": 0.0}] * 257}, "length <= 256"),
        ({"ranges": [{"name": "a", "max_abs": 1.0, "limit": 1.0}] * 1025}, "length <= 1024"),
        ({"ranges": [{"name": "a", "max_abs": 1e301, "limit": 1.0}]}, "<= 1e\\+?300"),
        ({"operating_points": [{"threshold": 1e300}]}, "<= 1000000000"),
        ({"operating_points": [{"threshold": 0.0, "positives": 5, "patients": 6}]}, "more positive patients than"),
        ({"preparation": {**plain(PURPOSE.preparation), "source": [2, 8]}}, "length >= 3"),
        ({"preparation": {**plain(PURPOSE.preparation), "source": [2, 1, 8, 8, 8]}}, "length <= 4"),
        ({"preparation": {**plain(PURPOSE.preparation), "width": 0}}, ">= 1"),
        ({"envelope": {"statistics": [], "coverage": 1.0, "sequences": 1}}, "length >= 1"),
        (
            {"envelope": {"statistics": [{"name": "a", "low": 0, "high": 1}] * 65, "coverage": 1.0, "sequences": 1}},
            "length <= 64",
        ),
        ({"operating_points": [{}]}, "missing required field `threshold`"),
        ({"operating_points": {}}, "Expected `array`"),
        ({"ranges": [{"name": "score", "max_abs": 1.0}]}, "missing required field `limit`"),
        ({"ranges": [{"name": "score", "max_abs": 1.0, "limit": NAN}]}, "Expected `float`"),
        ({"ranges": [{"name": "score", "max_abs": 1.0, "limit": -1.0}]}, ">= 0"),
        ({"temperature": {"temperature": 0.0}}, "> 0"),
        ({"temperature": {"temperature": NAN}}, "Expected `float`"),
        ({"temperature": {"temperature": 1.0, "offset": math.inf}}, "Expected `float`"),
        ({"preparation": {**plain(PURPOSE.preparation), "axis": True}}, r"Expected `int`, got `bool` - at .*axis"),
        ({"preparation": {**plain(PURPOSE.preparation), "width": 1 << 27}}, "<= 67108864"),
        ({"preparation": {**plain(PURPOSE.preparation), "unknown": 1}}, "unknown field `unknown`"),
        ({"input_level": True}, "Expected `int`, got `bool`"),
        ({"keys": {"relinearization_level": 3, "rotations": {"01": 3}}}, "Expected `int`, got `str`"),
        ({"keys": {"relinearization_level": "high", "rotations": {}}}, "Expected `int | null`"),
        ({"unknown": 1}, "unknown field `unknown`"),
    ],
)
def test_fields_of_the_wrong_kind_or_size_are_refused(changes, message):
    with pytest.raises(FileFormatError, match=f"card: .*{message}"):
        typed(written(**changes), Card, "card")


def test_nothing_beside_the_fields_is_accepted():
    """Not even inside: what is digested is what was read."""
    card = tiny_program().card
    for name in ("parameters", "input_layout", "keys"):
        with pytest.raises(FileFormatError, match=f"card: {name} is not written as this release does"):
            Card.read(written(**{name: {**card.to_json()[name], "more": 1}}), "card")
    with pytest.raises(FileFormatError, match="operating_points is not written"):
        Card.read(written(operating_points=[{"threshold": 0.25}]), "card")  # defaults are written, too
    assert Card.read(written(), "card").to_json() == written()


def test_two_operating_points_or_ranges_for_the_same_are_refused():
    for changes in (
        {"operating_points": (OperatingPoint(0.1), OperatingPoint(0.2))},
        {"operating_points": (OperatingPoint(0.1, frames=2), OperatingPoint(0.2, frames=2))},
        {"ranges": (Range("score", 1.0, 1.0), Range("score", 1.0, 9.0))},
    ):
        for kind in (Purpose, tiny_card):
            with pytest.raises(FileFormatError, match="are for the same"):
                kind(**changes)


def test_the_operating_point_of_so_many_frames():
    general, two = OperatingPoint(0.1), OperatingPoint(0.2, frames=2)
    purpose = Purpose(operating_points=(general, two))
    assert [purpose.operating_point(frames) for frames in (None, 1, 2)] == [general, general, two]
    assert Purpose().operating_point(2) is None
    special = Purpose(operating_points=(two,))
    assert special.operating_point(2) is two
    assert special.operating_point() is two
    with pytest.raises(NotAssessableError, match="not assessable: got 1 frame, expected 2"):
        special.operating_point(1)


def test_what_a_card_takes_of_a_model():
    metadata = {
        "name": "a\nname",
        "attribution": "  some\tone ",
        "licence": "CC",
        "warnings": ["few positives"],
        "dataset": "D",
        "preparation": PURPOSE.preparation.to_json(),
        "operating_point": {"threshold": 1.0},
        "operating_points": [{"threshold": 2.0, "frames": 1}],
        "ranges": {"score": {"max_abs": 1.0, "limit": 2.0}},
        "temperature": {"temperature": 1.0, "offset": 0.0},
        "metrics": {"anything": 1},
    }
    model = random_model(small_config(frames=2, channels=1), 0).with_metadata(**metadata)
    purpose = Purpose.of(model)
    facts = purpose.model
    assert (facts.name, facts.dataset, facts.credit) == ("a name", "D", "some one. Licence: CC")
    assert (facts.digest, facts.warnings) == (model.digest, ("few positives",))
    assert purpose.operating_points == (OperatingPoint(1.0), OperatingPoint(2.0, frames=1))
    assert purpose.limit("score") == 2.0
    assert purpose.limit("other") is None
    bare = Purpose.of(random_model(small_config(), 0))
    assert (bare.preparation, bare.operating_points, bare.ranges, bare.temperature) == (None, (), (), None)
    for wrong in ({"operating_point": 1}, {"ranges": {"score": 3}}, {"name": ["a"]}, {"licence": "\x1b[2J"}):
        with pytest.raises(FileFormatError, match="model.json: metadata"):
            Purpose.of(model.with_metadata(**wrong))


# ── what a hospital does at most ───────────────────────────────────────────────────────────────────────────

LARGE = choose(20, slots_min=1 << 15)  # as the shipped program, 128 bits
SMALL = choose(4, slots_min=1, ring_degree=1 << 13, security="INSECURE_TEST")


def large(**changes):
    """A card as large as a real one."""
    fields = {
        "parameters": LARGE,
        "input_layout": ImageLayout(1 << 15, 4, 8, 32, 32, 32, 32),
        "result_layout": ResultLayout(1 << 15, 1, 1, 4),
        "input_level": LARGE.max_level,
        "result_level": 1,
        "keys": NeededKeys(None, {}),
        "preparation": None,
    }
    return tiny_card(**{**fields, **changes})


def keys(count, level, relinearization=None):
    return NeededKeys(relinearization, dict.fromkeys(range(1, count + 1), level))


def test_the_bounds_are_these():
    """Whoever moves one means it: programs that a hospital accepts today must be accepted tomorrow."""
    assert (bounds.ROTATIONS_MAX, bounds.CIPHERTEXTS_MAX) == (4096, 256)
    assert (bounds.KEYS_BYTES_MAX, bounds.KEY_BYTES_MAX, bounds.QUERY_BYTES_MAX) == (8 << 30, 1 << 30, 1 << 30)


def test_so_many_rotation_keys_and_no_more():
    assert bounds.check_keys(SMALL, keys(4096, 1)) is None
    with pytest.raises(FileFormatError, match="asks for 4097 rotation keys, expected at most 4096"):
        bounds.check_keys(SMALL, keys(4097, 1))


def test_so_many_bytes_of_keys_and_no_more(monkeypatch):
    """The sum counts each key at its own level, the relinearization key too."""
    top, each, small = LARGE.max_level, evaluation_key_bytes(LARGE, LARGE.max_level), evaluation_key_bytes(LARGE, 2)
    wanted = NeededKeys(top, {1: top, 2: 2, 3: 2})
    monkeypatch.setattr(bounds, "KEYS_BYTES_MAX", 2 * each + 2 * small)
    assert bounds.check_keys(LARGE, wanted) is None
    monkeypatch.setattr(bounds, "KEYS_BYTES_MAX", 2 * each + 2 * small - 1)
    with pytest.raises(FileFormatError, match=rf"asks for {2 * each + 2 * small} bytes of keys, expected at most"):
        bounds.check_keys(LARGE, wanted)


def test_no_key_is_larger_than_a_container_holds(monkeypatch):
    size = evaluation_key_bytes(LARGE, LARGE.max_level)
    for wanted in (keys(1, LARGE.max_level), NeededKeys(LARGE.max_level, {})):
        monkeypatch.setattr(bounds, "KEY_BYTES_MAX", size)
        assert bounds.check_keys(LARGE, wanted) is None
        monkeypatch.setattr(bounds, "KEY_BYTES_MAX", size - 1)
        with pytest.raises(FileFormatError, match=f"asks for a key of {size} bytes, expected at most {size - 1}"):
            bounds.check_keys(LARGE, wanted)
    assert bounds.check_keys(LARGE, NeededKeys(None, {})) is None


def test_so_many_ciphertexts_and_no_more():
    at_limit = ImageLayout(SMALL.slots, 1, 256, 64, 128, 64, 128)
    assert at_limit.ciphertexts == 256
    assert bounds.check_query(SMALL, at_limit, 1) is None
    with pytest.raises(FileFormatError, match="asks for 512 ciphertexts, expected at most 256"):
        bounds.check_query(SMALL, ImageLayout(SMALL.slots, 1, 257, 64, 128, 64, 128), 1)


def test_so_many_bytes_of_a_query_and_no_more(monkeypatch):
    """All ciphertexts together."""
    layout = ImageLayout(1 << 15, 1, 4, 128, 256, 128, 256)
    total = 4 * ciphertext_bytes(LARGE, LARGE.max_level, seeded=True)
    monkeypatch.setattr(bounds, "QUERY_BYTES_MAX", total)
    assert bounds.check_query(LARGE, layout, LARGE.max_level) is None
    monkeypatch.setattr(bounds, "QUERY_BYTES_MAX", total - 1)
    with pytest.raises(FileFormatError, match=f"asks for queries of {total} bytes, expected at most {total - 1}"):
        bounds.check_query(LARGE, layout, LARGE.max_level)
    assert bounds.check_query(LARGE, layout, 1) is None


def test_special_primes_smaller_than_a_digit_are_refused():
    """Key-switching noise would take over: the result would be noise, and decided upon."""
    moduli, special = LARGE.moduli, (LARGE.special_moduli[0], *LARGE.moduli[-6:])
    swapped = replace(LARGE, moduli=moduli[:15], scales=LARGE.scales[:15], special_moduli=special)
    # The first digit holds both primes of the base, which have a bit more than the others: no other digit is too large.
    assert math.prod(moduli[1:8]) < math.prod(special) < math.prod(moduli[:7])
    assert bounds.check_noise(LARGE) is None
    for check in (lambda: bounds.check_noise(swapped), lambda: large(parameters=swapped, input_level=1)):
        with pytest.raises(FileFormatError, match="special primes are smaller than a digit"):
            check()


@dataclass(frozen=True)
class Primes:
    """Of parameters, what noise depends on, in numbers that are easy to multiply: digits of two moduli."""

    moduli: tuple[int, ...]
    special_moduli: tuple[int, ...]
    sizes: tuple[int, ...] = (2, 2, 2, 2)

    def special_at(self, level):
        return self.sizes[level]


@pytest.mark.parametrize(
    ("primes", "right"),
    [
        (Primes((2, 3, 11, 13), (11, 13)), True),  # the last digit is 11 · 13 and no larger than P
        (Primes((2, 3, 11, 13), (11, 12)), False),
        (Primes((2, 3, 11), (2, 5)), False),  # a last digit of one modulus counts
        (Primes((2, 3, 11), (2, 6)), True),
        (Primes((2, 3, 11, 13), (5, 7, 3), (2, 2, 2, 3)), True),  # at level 2 without what comes above it: 11 <= 35
        (Primes((2, 3, 11, 13), (5, 2, 7), (2, 2, 2, 3)), False),
    ],
)
def test_the_largest_digit_at_each_level(primes, right):
    if right:
        assert bounds.check_noise(primes) is None
    else:
        with pytest.raises(FileFormatError, match="special primes are smaller than a digit"):
            bounds.check_noise(primes)


@pytest.mark.parametrize(
    ("limit", "message"), [("ROTATIONS_MAX", "rotation keys, expected"), ("CIPHERTEXTS_MAX", "ciphertexts, expected")]
)
def test_a_card_asks_for_its_bounds(monkeypatch, limit, message):
    card = tiny_program().card
    monkeypatch.setattr(bounds, limit, 0)
    with pytest.raises(FileFormatError, match=message):
        structs.replace(card)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_level": 0}, "a level is not among 1 …"),
        ({"input_level": LARGE.max_level + 1}, "a level is not among 1 …"),
        ({"result_level": 0}, "a level is not among 1 …"),
        ({"keys": NeededKeys(0, {})}, "a level is not among 1 …"),
        ({"keys": NeededKeys(None, {1: LARGE.max_level + 1})}, "a level is not among 1 …"),
        ({"keys": NeededKeys(None, {0: 2})}, "a rotation step is not among 1 … 32767"),
        ({"keys": NeededKeys(None, {1 << 15: 2})}, "a rotation step is not among 1 … 32767"),
        ({"keys": NeededKeys(None, {-3: 2})}, "a rotation step is not among 1 … 32767"),
        ({"input_layout": ImageLayout(1 << 14, 4, 8, 32, 32, 32, 32)}, "do not have the 32768 slots"),
        ({"result_layout": ResultLayout(1 << 14, 1, 1, 4)}, "do not have the 32768 slots"),
        ({"result_layout": ResultLayout(1 << 15, 1, 1, 3)}, "takes 4 frames, but its result has 3"),
        ({"operating_points": (OperatingPoint(0.0, frames=5),)}, "is for more than the 4 frames"),
        ({"preparation": Preparation("frames", (4, 8, 32, 32), 4, 8, 32, 33)}, r"\(4, 8, 32, 33\), but .* takes"),
        ({"preparation": Preparation("frames", (4, 8, 32, 32), 4, 9, 32, 32)}, "compile it again"),
        ({"preparation": Preparation("frames", (3, 8, 32, 32), 3, 8, 32, 32)}, "compile it again"),
        ({"preparation": Preparation("frames", (4, 8, 31, 32), 4, 8, 31, 32)}, "compile it again"),
    ],
)
def test_cards_that_contradict_themselves_are_refused(changes, message):
    assert large(operating_points=(OperatingPoint(0.0, frames=4),)).parameters is LARGE
    with pytest.raises(FileFormatError, match=f"card: .*{message}"):
        large(**changes)


# ── digests ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_digest_as_it_is_written_down():
    """In the words of the docs, so that others can compute it: this must never change."""
    card = tiny_program().card
    fields = {name: sha256(canonical(value)).hexdigest() for name, value in card.to_json().items()}
    public = sha256(canonical(fields)).digest()
    assert card.digest == sha256(public + bytes.fromhex(card.circuit)).hexdigest()
    assert card.field_digests() == fields
    assert set(fields) == set(Card.__struct_fields__) - {"envelope"}  # of which this one has none


def test_digests_do_not_depend_on_the_order_of_keys():
    def turned(value):
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list | tuple) else value

    card = tiny_program().card
    again = Card.read(turned(card.to_json()), "card")
    assert again.field_digests() == card.field_digests()
    assert program_digest(again, card.circuit) == card.digest


def test_a_card_is_frozen():
    card = tiny_program().card
    for struct in (card, card.preparation, card.operating_points[0], card.model):
        name = struct.__struct_fields__[0]
        with pytest.raises(AttributeError, match="immutable"):
            setattr(struct, name, getattr(struct, name))


@pytest.mark.parametrize("kind", [Purpose, Card, ProgramCard])
def test_fields_of_a_card_are_given_by_name_and_no_other_is_taken(kind):
    with pytest.raises(TypeError, match="positional"):
        kind(None)
    with pytest.raises(FileFormatError, match="unknown field `more`"):
        typed({"more": 1}, kind, "x")


def test_a_card_is_frozen_apart_from_its_program():
    fields = {name: getattr(tiny_program().card, name) for name in Card.__struct_fields__}
    with pytest.raises(AttributeError, match="immutable"):
        Card(**fields).input_level = 1


def test_the_first_field_that_is_written_otherwise_is_named():
    data = tiny_program().card.to_json()
    data["ranges"] = [{**each, "limit": int(each["limit"])} for each in data["ranges"]]
    data["temperature"] = {**data["temperature"], "offset": 0}
    with pytest.raises(FileFormatError, match="card: ranges is not written as this release does; compile it again"):
        Card.read(data, "card")


def test_fields_that_differ_are_named():
    first, other = tiny_program().card, tiny_program(operating_points=(), temperature=None).card
    assert different(first.field_digests(), other.field_digests()) == ["operating_points", "temperature"]
    assert different(first.field_digests(), {}) == sorted(first.to_json())
    assert digest_of(first.field_digests()) != digest_of(other.field_digests())
    assert first.digest != other.digest
    assert structs.replace(other, operating_points=first.operating_points, temperature=first.temperature).purpose == (
        first.purpose
    )


def test_every_error_of_a_card_is_one_of_ours():
    for error in (FileFormatError, DigestError, SequenceError):
        assert issubclass(error, HeclstmError)
