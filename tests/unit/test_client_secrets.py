"""Secret keys: sealed by a passphrase or not, bound to their header, and no copy of one that stays behind."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.data import handed_in
from heclstm.data.dicom import ANY
from heclstm.data.sequence import ImageSequence
from heclstm.data.statistics import statistics
from heclstm.deploy import client as module
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client
from heclstm.deploy.server import Server
from heclstm.deploy.wire import Kind, Message, received
from heclstm.errors import (
    DigestError,
    EnvelopeError,
    FileFormatError,
    HandleError,
    InputError,
    NotAssessableError,
    PassphraseError,
)
from random_models import random_frames
from tiny_program import CONFIG, tiny_program

SEQUENCE = ImageSequence(random_frames(CONFIG, 1, 3)[0].astype(np.float32))
WORD = "correct horse battery"


@pytest.fixture
def client():
    with Client(tiny_program().card, allow_insecure=True) as client:
        yield client


@pytest.fixture
def wiped(monkeypatch):
    """What was overwritten, as it was before."""
    seen, wipe = [], module.wipe

    def recorded(data):
        seen.append(bytes(data))
        wipe(data)
        assert not any(data)

    monkeypatch.setattr(module, "wipe", recorded)
    return seen


def in_clear(client):
    return bytes(client._key().serialize())


def test_a_sealed_key_opens_by_its_passphrase_alone(client, wiped):
    sealed = bytes(client.new_secret_key(WORD))
    secret = in_clear(client)
    assert wiped == [secret]
    assert secret not in sealed
    with Client(client.card, allow_insecure=True) as other:
        with pytest.raises(InputError, match="is sealed by a passphrase, and none was given"):
            other.load_secret_key(sealed)
        with pytest.raises(PassphraseError, match="the passphrase is wrong, or the file was altered; nothing of it"):
            other.load_secret_key(sealed, lambda: "another word")
        wiped.clear()
        other.load_secret_key(sealed, lambda: WORD)
        assert in_clear(other) == secret
        assert [each[-len(secret) :] for each in wiped] == [secret, secret]  # with what it is bound to, and alone


def test_a_key_in_clear_is_wiped_when_it_was_taken(client, wiped):
    written = bytes(client.new_secret_key())
    secret = in_clear(client)
    with Client(client.card, allow_insecure=True) as other:
        wiped.clear()
        other.load_secret_key(written, pytest.fail)  # nobody is asked
        assert wiped == [secret]
        assert in_clear(other) == secret


def test_a_sealed_key_under_another_header_is_refused(client, wiped):
    with received(bytes(client.new_secret_key(WORD)), Kind.SECRET_KEY) as message:
        header, blob = message.header, message.blob()
    forged = bytes(Message(structs.replace(header, key="0" * 32), [blob]))
    wiped.clear()
    with pytest.raises(FileFormatError, match="its header was altered; get it again"):
        client.load_secret_key(forged, lambda: WORD)
    assert [each[-8:] for each in wiped] == [in_clear(client)[-8:]] * 2


def test_the_key_before_is_closed(client):
    client.new_secret_key()
    before = client._key()
    client.new_secret_key()
    with pytest.raises(HandleError):
        before.serialize()


def test_results_are_rounded_unless_the_noise_itself_is_wanted_and_read_with_their_own_case(client):
    client.new_secret_key()
    query, other = client.encrypt(SEQUENCE), client.encrypt(SEQUENCE)
    with Server(tiny_program()) as server, server.open_keys(client.evaluation_keys()) as tenant:
        result = server.evaluate(query, tenant)
    found = client.decrypt(result, case=Case.of(query.header, SEQUENCE))
    assert found == client.decrypt(result, unrounded=False) != client.decrypt(result, unrounded=True)
    outside = {"envelope": "outside", "outside": ("brightness",)}
    withheld = client.decrypt(result, case=Case.of(query.header, SEQUENCE, **outside))
    assert (withheld.undecided, withheld.threshold) == ("not assessable", None)
    vouched = client.decrypt(result, case=Case.of(query.header, SEQUENCE, **outside, override="a phantom"))
    assert (vouched.decision, vouched.probability) == (found.decision, None)
    assert found.probability is not None
    with pytest.raises(DigestError, match="but the case is that of query"):
        client.decrypt(result, case=Case.of(other.header, SEQUENCE))


def test_too_few_frames_are_refused_before_they_are_encrypted():
    size = (2, 1, 8, 8)
    padded = Preparation("frames", size, *size, length="pad")
    program = tiny_program(preparation=padded, operating_points=(OperatingPoint(0.0, frames=2),))
    with Client(program.card, allow_insecure=True) as client:
        client.new_secret_key()
        with pytest.raises(NotAssessableError, match="got 1 frame, expected 2"):
            client.encrypt(replace(SEQUENCE, real_frames=1))
        assert client.encrypt(SEQUENCE).header.kind is Kind.QUERY


def test_unusual_images_are_encrypted_for_a_reason_alone():
    preparation = tiny_program().card.preparation
    high = tuple(Statistic(name, value + 1, value + 2) for name, value in statistics(SEQUENCE, preparation).items())
    with Client(tiny_program(envelope=Envelope(high, 1.0, 1)), allow_insecure=True) as client:
        client.new_secret_key()
        with pytest.raises(EnvelopeError, match="unlike the images that the model was trained on"):
            client.encrypt(SEQUENCE)
        assert client.encrypt(SEQUENCE, override_envelope="a phantom").header.kind is Kind.QUERY


def test_frames_are_remembered_only_where_fewer_are_taken(client):
    client.new_secret_key()
    client.encrypt(replace(SEQUENCE, real_frames=1))
    assert client._real_frames == {}


def test_which_series_is_read(client, monkeypatch):
    asked = []
    monkeypatch.setattr(handed_in, "read_handed_in", lambda *_, selection, **__: asked.append(selection))
    client.read("a")
    chosen = replace(ANY)
    client.read("a", selection=chosen)
    assert asked[0] is ANY
    assert asked[1] is chosen
