"""Cards that a server, or somebody on the way, made up to harm a hospital: each is one line on stderr, before a key is
made, an image is opened, or much memory is asked for.

Each case is tried as program.json of version 1 and 2, with all digests made to fit.
"""

import json
import tracemalloc
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from heclstm.card.program_card import Card
from heclstm.circuit.parameters import is_prime
from heclstm.errors import HeclstmError
from heclstm.program.public import load_card
from heclstm.storage.json import digest_of

SHIPPED = Path(__file__).parents[2] / "examples" / "adrenal" / "program"
CARD = Card.to_json(load_card(SHIPPED))
MEMORY_MAX = 20 << 20  # bytes; the cards themselves have 50 kB


def document(card, version):
    """program.json with this card, whatever it says."""
    if version == 2:
        try:
            fields = {name: digest_of(value) for name, value in card.items()}
            digest = sha256(bytes.fromhex(digest_of(fields)) + bytes(32)).hexdigest()
        except ValueError:  # what is no number or text has no digest, so any will do
            digest = "0" * 64
        return {"format": "heclstm-program", "version": 2, "card": card, "circuit": "0" * 64, "digest": digest}
    points = [{name: value for name, value in each.items() if value is not None} for each in card["operating_points"]]
    facts = card["model"]
    purpose = {
        "name": facts["name"],
        "preparation": card["preparation"],
        "operating_point": points[0],
        "ranges": {each["name"]: {"max_abs": each["max_abs"], "limit": each["limit"]} for each in card["ranges"]},
        "attribution": facts["attribution"],
        "model_digest": facts["digest"],
        "temperature": {name: value for name, value in card["temperature"].items() if value is not None},
    }
    same = ("parameters", "input_level", "result_level", "keys")
    return {
        "format": "heclstm-program",
        "version": 1,
        **{name: card[name] for name in same},
        "input_layout": {"kind": "image", **card["input_layout"]},
        "result_layout": {"kind": "result", **card["result_layout"]},
        "purpose": purpose,
        "digest": facts["digest"],
    }


def largest(degree):
    """As many primes as the security table allows: 118 and one of P, so that each key has 118 digits."""
    order = 4 * degree
    primes = [prime for prime in range((1 << 30) - order + 1, 1 << 28, -order) if is_prime(prime)][:119]
    return {
        "ring": "conjugate_invariant",
        "ring_degree": degree,
        "moduli": primes[1:],
        "special_moduli": primes[:1],
        "scales": [2.0**29] * 118,
        "security": "128",
    }


def with_largest(card, layout, rotations):
    degree = 1 << 17
    card["parameters"] = largest(degree)
    card["input_layout"] = {**card["input_layout"], **layout, "slots": degree}
    card["result_layout"] = {**card["result_layout"], "slots": degree, "steps": card["input_layout"]["frames"]}
    card["input_level"] = 117
    card["keys"] = {"relinearization_level": None, "rotations": rotations}


def big_key(card):
    """6.9 GB for one key."""
    with_largest(card, {}, {"1": 117})


def many_keys(card):
    """4096 keys of 10 MB: 42 GB on disk."""
    card["keys"] = {"relinearization_level": 20, "rotations": {str(step): 20 for step in range(1, 4097)}}


def too_many_keys(card):
    card["keys"] = {"relinearization_level": None, "rotations": {str(step): 1 for step in range(1, 5000)}}


def big_query(card):
    """14.8 GB of ciphertexts in memory."""
    sizes = {"frames": 1, "channels": 3, "height": 2048, "width": 4096}
    with_largest(card, {**sizes, "rows": 2048, "columns": 4096, "patches": None}, {})
    source = [1, 3, 2048, 4096]
    card["preparation"] = {**card["preparation"], **sizes, "kind": "frames", "source": source, "slices_per_frame": 1}


def preparation(**changes):
    def edit(card):
        card["preparation"] = {**card["preparation"], **changes}

    edit.__name__ = "_".join(changes)
    return edit


def pad_1e8(card):
    preparation(kind="frames", source=[10**8, 1, 32, 32], frames=10**8, channels=1, slices_per_frame=1, length="pad")(
        card
    )


def resize_60000(card):
    size = 60_000
    preparation(kind="frames", source=[1, 1, size, size], frames=1, channels=1, height=size, width=size,
                slices_per_frame=1, resize="stretch")(card)  # fmt: skip


def pad_1e6(card):
    """Within all numbers, but not those of the layout."""
    preparation(kind="frames", source=[10**6, 1, 8, 8], frames=10**6, channels=1, height=8, width=8,
                slices_per_frame=1, length="pad")(card)  # fmt: skip


def terminal(card):
    card["model"] = {**card["model"], "attribution": "\x1b]0;owned\x07\x1b[2J\x1b[31mHELLO"}


def surrogate(card):
    card["model"] = {**card["model"], "name": "\ud800abc"}


def rates_as_text(card):
    card["operating_points"] = [{**card["operating_points"][0], "sensitivity": "x", "specificity": "y"}]


def infinite_threshold(card):
    card["operating_points"] = [{**card["operating_points"][0], "threshold": 10**39 * 1.0 * 10**300}]


def long_threshold(card):
    card["operating_points"] = [{**card["operating_points"][0], "threshold": 10**400}]


def no_noise_margin(card):
    """Special primes far smaller than a digit."""
    parameters = {name: value for name, value in card["parameters"].items() if name != "special_counts"}
    moduli, special = parameters["moduli"], parameters["special_moduli"][:7]
    card["parameters"] = {**parameters, "moduli": moduli[:1] + special + moduli[1:13], "special_moduli": moduli[13:]}
    card["parameters"]["scales"] = parameters["scales"][:20]
    card["keys"] = {"relinearization_level": None, "rotations": {}}
    card["input_level"] = 19


def huge_layout(card):
    card["input_layout"] = {**card["input_layout"], "rows": 1 << 40, "columns": 1 << 20}


PATCHES = {
    "height": 16,
    "width": 16,
    "stride_y": 2,
    "stride_x": 2,
    "first_y": 0,
    "first_x": 0,
    "taps_y": 2,
    "taps_x": 2,
}


def patches(**changes):
    def edit(card):
        card["input_layout"] = {**card["input_layout"], "patches": {**PATCHES, **changes}}

    edit.__name__ = "patches_" + "_".join(changes)
    return edit


def no_special_primes(card):
    card["parameters"] = {**card["parameters"], "special_counts": [0] * len(card["parameters"]["moduli"])}


def many_special_primes(card):
    """All of them at the top level: 35 primes, more than the table allows."""
    card["parameters"] = {**card["parameters"], "special_counts": [14] * len(card["parameters"]["moduli"])}


def many_primes(card):
    card["parameters"] = {**card["parameters"], "moduli": [1062469633] * 90_000}


CASES = {
    big_key: "asks for a key of 6",
    many_keys: "bytes of keys, expected at most 8589934592",
    too_many_keys: "asks for 4999 rotation keys, expected at most 4096",
    big_query: "asks for queries of 14",
    preparation(axis=True): "Expected `int`, got `bool`",
    preparation(channels=10**9): "67108864",
    preparation(width=10**9): "67108864",
    preparation(channels=9): "its preparation makes",
    pad_1e8: "67108864",
    pad_1e6: "its preparation makes",
    resize_60000: "makes 3600000000 numbers, expected at most 67108864",
    terminal: "without control characters",
    surrogate: "half of a surrogate pair",
    rates_as_text: "Expected `float | null`, got `str`",
    infinite_threshold: "Expected `float`|a number is too large|Infinity is no number",
    long_threshold: "a number of 401 digits",
    patches(taps_y=1 << 20): "expected at most 67108864",
    patches(taps_x=1 << 40): "every size of its patches must be",
    patches(stride_y=0): "every size of its patches must be",
    patches(height=64): "rows is 16, expected",
    patches(more=1): "input_layout is not written as this release does",
    no_special_primes: "special_counts: got one that is not among",
    many_special_primes: "at most 868 keeps 128 bits",
    no_noise_margin: "special primes are smaller than a digit",
    huge_layout: "slots, expected at most",
    many_primes: "expected at most 256 primes in all",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "volume.npy"
    np.save(path, np.zeros((28, 28, 28), np.uint8))
    return path


@pytest.fixture
def keys_untouched(tmp_path):
    """A key file that nobody comes to look at."""
    path = tmp_path / "secret.key"
    path.write_bytes(b"no key")
    return path


def hostile(edit, version):
    card = json.loads(json.dumps(CARD))
    edit(card)
    return json.dumps(document(card, version)).encode()


def test_the_card_that_cases_are_made_of_is_accepted():
    later = {name: value for name, value in CARD.items() if name != "envelope"}
    old = {**later, "model": {**CARD["model"], "dataset": "", "licence": ""}}
    for version, expected in ((1, old), (2, CARD)):
        assert Card.to_json(load_card(json.dumps(document(CARD, version)).encode())) == expected


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("edit", CASES, ids=lambda edit: edit.__name__)
def test_a_hostile_card_is_refused_at_once(edit, version):
    content = hostile(edit, version)
    tracemalloc.start()
    try:
        with pytest.raises(HeclstmError, match=CASES[edit]):
            load_card(content)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("edit", CASES, ids=lambda edit: edit.__name__)
def test_every_verb_refuses_it_in_one_line(refused, edit, images, tmp_path, keys_untouched):
    """Nothing is written, and nothing that a terminal would obey is shown."""
    path = tmp_path / "program.json"
    path.write_bytes(hostile(edit, 2))
    key = ("--key", keys_untouched)
    for arguments in (
        ("keygen", path, "-o", tmp_path / "keys"),
        ("encrypt", path, images, *key, "-o", tmp_path / "q.he"),
        ("decrypt", path, images, *key, "-o", tmp_path / "d.json"),
        ("inspect", path),
    ):
        assert refused(*arguments).isprintable()


@pytest.mark.parametrize("digest", ["\ud800abc", "\x1b]0;pwn\x07", "a" * 63, "A" * 64, "", 7, None])
@pytest.mark.parametrize("version", [1, 2])
def test_digests_that_are_none_are_refused(refused, tmp_path, digest, version):
    """Key files named after one were written, and could not be read."""
    path = tmp_path / "program.json"
    path.write_text(json.dumps({**document(CARD, version), "digest": digest}))
    for arguments in (("keygen", path, "-o", tmp_path / "keys"), ("inspect", path)):
        assert refused(*arguments).isprintable()
