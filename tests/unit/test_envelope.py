"""What images look like: others than those of training are noticed before they are encrypted."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.preparation import Preparation
from heclstm.card.program_card import Card
from heclstm.card.purpose import Purpose
from heclstm.data.datasets import Part, load_dataset
from heclstm.data.handed_in import HandedIn
from heclstm.data.prepare import prepare
from heclstm.data.sequence import ImageSequence
from heclstm.data.statistics import statistics
from heclstm.deploy.client import Client
from heclstm.errors import EnvelopeError, FileFormatError, ModelError
from heclstm.model.envelope import COVERAGE, SEQUENCES_MIN, envelope_of, fit_envelope
from heclstm.report.findings import Findings
from heclstm.usecases import decrypt, encrypt, keygen, report, run
from heclstm.usecases.events import Recorded
from messages import sealed
from random_models import random_frames, random_model
from tiny_program import CONFIG, PURPOSE, tiny_program

COLOUR = Preparation("frames", (3, 3, 16, 16), 3, 4, 18, 18, length="pad")
VOLUME = Preparation("volume", (8, 12, 12), 2, 5, 14, 14, axis=0, slices_per_frame=4)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def drawn():
    """Synthetic colposcopy: training, and others of the same kind."""
    options = {"train": 150, "validation": 60, "frames": 3, "size": 16}
    return load_dataset("acetowhitening", options=options)


@pytest.fixture(scope="module")
def envelope(drawn):
    return envelope_of(drawn.train, COLOUR)


def outside(envelope, raw):
    return envelope.outside(statistics(prepare(raw, COLOUR), COLOUR))


STRANGE = {
    "white noise": lambda v: RNG.integers(0, 256, v.shape, dtype=np.uint8),
    "a grey ramp": lambda v: np.broadcast_to(np.linspace(0, 255, 16).astype(np.uint8), v.shape),
    "inverted": lambda v: 255 - v,
    "black": np.zeros_like,
    "constant": lambda v: np.full_like(v, 128),
    "half as bright": lambda v: v // 2,
    "grey instead of colour": lambda v: np.repeat(v.mean(1, keepdims=True).astype(np.uint8), 3, 1),
    "red and blue exchanged": lambda v: v[:, ::-1],
    "pixels in another order": lambda v: RNG.permutation(v.reshape(3, 3, -1), axis=2).reshape(v.shape),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_images_are_outside(drawn, envelope, kind):
    assert all(outside(envelope, STRANGE[kind](raw)) for raw in drawn.validation.images[:20])


def test_images_like_those_of_training_are_inside(drawn, envelope):
    """At most the share that coverage leaves out, and what chance adds: 2 of 60 (p < 0.04 at 99.5 %)."""
    assert envelope.coverage >= COVERAGE
    assert envelope.sequences == 150
    assert sum(bool(outside(envelope, raw)) for raw in drawn.validation.images) <= 2
    assert sum(bool(outside(envelope, raw[:1])) for raw in drawn.validation.images) <= 4  # and a single frame of each


def test_the_words_hold_no_value_of_the_images(envelope):
    black = ImageSequence(np.zeros((3, 4, 18, 18), np.float32))
    words = envelope.outside(statistics(black, COLOUR))
    assert any(text.startswith("mean of the brightest frame is below 0.") for text in words)


def test_padding_and_borders_do_not_count():
    raw = RNG.integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    prepared = prepare(raw, COLOUR)
    bare = ImageSequence(prepared.frames[:1, :3, 1:17, 1:17].copy())
    assert statistics(prepared, COLOUR) == pytest.approx(statistics(bare), nan_ok=True)
    volume = (RNG.random((8, 12, 12)) > 0.5).astype(np.float32)
    prepared = prepare(volume, VOLUME)
    assert statistics(prepared, VOLUME)["brightest pixel"] == 1.0
    assert statistics(prepared, VOLUME)["mean of the darkest frame"] == pytest.approx(
        min(volume[:4].mean(), volume[4:].mean()), abs=1e-6
    )


def test_slices_in_another_order_are_less_alike():
    """Neighbours of a volume are alike, and less so with distance."""
    slices, rows, columns = np.indices((8, 12, 12))
    volume = ((rows - 2 - slices) ** 2 + (columns - 5.5) ** 2 < 8).astype(np.float32)  # a slanting vessel
    right = statistics(prepare(volume, VOLUME), VOLUME)
    wrong = statistics(prepare(volume[[3, 7, 0, 5, 2, 6, 1, 4]], VOLUME), VOLUME)
    assert right["likeness of neighbouring slices"] > wrong["likeness of neighbouring slices"]
    assert right["likeness lost with distance"] > 2 * wrong["likeness lost with distance"]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]), st.integers(1, 3), st.booleans())
def test_statistics_of_any_images_are_finite_or_do_not_apply(seed, channels, count, flat):
    rng = np.random.default_rng(seed)
    frames = np.full((count, channels, 4, 5), rng.random()) if flat else rng.random((count, channels, 4, 5))
    found = statistics(ImageSequence(frames.astype(np.float32)))
    missing = {name for name, value in found.items() if not np.isfinite(value)}
    assert missing == ({"least likeness of neighbouring frames"} if count == 1 else set())


def test_too_few_sequences_fit_nothing():
    with pytest.raises(ModelError, match=f"got {SEQUENCES_MIN - 1} sequences, expected at least {SEQUENCES_MIN}"):
        fit_envelope([{"a": float(row)} for row in range(SEQUENCES_MIN - 1)])


def test_a_wild_patient_widens_nothing_for_himself():
    """Bounds come from the other folds, so one in a thousand stays outside, however far."""
    found = [{"a": float(value)} for value in RNG.normal(size=1000)]
    wide = fit_envelope([*found, {"a": 1e6}])
    assert wide.outside({"a": 1e6})
    assert not wide.outside({"a": 2.0})
    assert wide.coverage >= COVERAGE


def test_an_envelope_travels_and_is_checked(envelope):
    model = random_model(CONFIG, 0).with_metadata(envelope={"statistics": [{"name": "a", "low": 0.0, "high": 1.0}],
                                                            "coverage": 0.996, "sequences": 300})  # fmt: skip
    assert Purpose.of(model).envelope == Envelope((Statistic("a", 0.0, 1.0),), 0.996, 300)
    assert "envelope" not in tiny_program().card.to_json()  # so old digests hold
    card = tiny_program(envelope=envelope).card
    assert card.field_digests().keys() - tiny_program().card.field_digests().keys() == {"envelope"}
    assert card.digest != tiny_program().card.digest
    assert PURPOSE.envelope is UNSET
    for wrong in ((Statistic("a", 1.0, 0.0),), (Statistic("a", 0.0, 1.0),) * 2):
        with pytest.raises(FileFormatError, match="stands twice, or its bounds are turned around"):
            Envelope(wrong, 1.0, 100)
    with pytest.raises(FileFormatError, match="asks for 'b', which this release cannot measure"):
        Envelope((Statistic("b", 0.0, 1.0),), 1.0, 100).outside({"a": 0.5})


# ── in the hospital ────────────────────────────────────────────────────────────────────────────────────────────

NARROW = Envelope((Statistic("mean of the darkest frame", 2.0, 3.0),), 0.996, 300)
PROGRAM = tiny_program(envelope=NARROW)
IMAGES = HandedIn(ImageSequence(random_frames(CONFIG, 1, 3)[0].astype(np.float32)), "as it is", (), "arrays", ())


def test_of_unusual_images_no_decision_is_made_unless_there_is_a_reason(tmp_path):
    """It is said before they are encrypted, and holds when the result comes back."""
    keys = keygen.keygen(PROGRAM.card, tmp_path / "keys", allow_insecure=True)
    options, result, heard = {"allow_insecure": True}, tmp_path / "r.he", Recorded()
    made = encrypt.encrypt(PROGRAM.card, IMAGES, keys.secret, tmp_path / "q.he", events=heard, **options)
    assert (made.case.envelope, made.case.withheld) == ("outside", True)
    assert (
        "not assessable: unlike the images that the model was trained on: mean of the darkest frame" in heard.notes[0]
    )
    assert "--override envelope=REASON" in heard.notes[0]
    run.run(PROGRAM, tmp_path / "q.he", keys.evaluation, result)
    found = decrypt.decrypt(PROGRAM.card, result, keys.secret, tmp_path / "d.json", **options)
    assert (found.diagnosis.decision, found.diagnosis.probability) == ("not assessable", None)
    assert "So no decision is made." in report.report(found, IMAGES.sequence).page
    altered = {**found.to_json(), "threshold": 0.0}
    del altered["undecided"], altered["decision"]
    with pytest.raises(FileFormatError, match="has a decision that its case does not allow"):
        Findings.load(sealed(altered))

    made = encrypt.encrypt(
        PROGRAM.card, IMAGES, keys.secret, tmp_path / "q.he", override_envelope="a phantom", **options
    )
    assert (made.case.envelope, made.case.override, made.case.withheld) == ("outside", "a phantom", False)
    run.run(PROGRAM, tmp_path / "q.he", keys.evaluation, result)
    found = decrypt.decrypt(PROGRAM.card, result, keys.secret, **options)
    assert (found.diagnosis.decided, found.diagnosis.probability) == (True, None)  # no figure speaks of such images
    assert "probability" not in found.to_json()
    assert "It was wanted nevertheless: a phantom" in report.report(found, IMAGES.sequence).page


def test_images_inside_are_nothing_special_and_python_is_refused_outright(tmp_path):
    options = {"allow_insecure": True}
    with closing(Client(PROGRAM.card, **options)) as client:
        client.new_secret_key()
        with pytest.raises(EnvelopeError, match="mean of the darkest frame is below 2"):
            client.encrypt(IMAGES.sequence)
        assert client.encrypt(IMAGES.sequence, override_envelope="a phantom")
    inside = tiny_program(envelope=structs.replace(NARROW, statistics=(Statistic("grey levels", -1e3, 1e3),)))
    client_keys = keygen.keygen(inside.card, tmp_path / "other", allow_insecure=True)
    assert encrypt.encrypt(inside.card, IMAGES, client_keys.secret, **options).case.envelope == "inside"


def test_few_images_of_a_part_are_measured_with_their_own_length():
    images = [RNG.integers(0, 256, (1 + row % 3, 3, 16, 16), dtype=np.uint8) for row in range(60)]
    found = envelope_of(Part(images, np.arange(60) % 2), COLOUR)
    assert {each.name for each in found.statistics} >= {"least likeness of neighbouring frames", "share of red"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statistics": []}, "length >= 1"),
        ({"statistics": [{"name": f"{row}", "low": 0.0, "high": 1.0} for row in range(65)]}, "length <= 64"),
        ({"statistics": [{"name": "a", "low": 0.0, "high": "inf"}]}, "Expected `float`"),
        ({"statistics": [{"name": "a", "low": -1e301, "high": 0.0}]}, ">= -1e"),
        ({"statistics": [{"name": "\x1b[2J", "low": 0.0, "high": 1.0}]}, "without control characters"),
        ({"coverage": 1.5}, "<= 1"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_a_card_with_a_hostile_envelope_is_refused(changes, message):
    envelope = {"statistics": [{"name": "a", "low": 0.0, "high": 1.0}], "coverage": 1.0, "sequences": 1, **changes}
    with pytest.raises(FileFormatError, match=message):
        Card.read({**tiny_program().card.to_json(), "envelope": envelope}, "card")
