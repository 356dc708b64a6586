"""The hospital's side without files: bytes and streams in, messages out."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from msgspec import structs

from heclstm.backend.cpu.secret import SecretKey
from heclstm.backend.precision import predict_errors, run_clear
from heclstm.card.operating_point import OperatingPoint
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE, evaluation_key_blobs
from heclstm.deploy.server import Server
from heclstm.deploy.wire import Kind, Message, received
from heclstm.errors import DigestError, FileFormatError, HandleError, InputError, SecurityError, SequenceError
from random_models import random_frames
from tiny_program import CONFIG, tiny_program

SEQUENCE = ImageSequence(random_frames(CONFIG, 1, 3)[0].astype(np.float32))


def content(message):
    stream = io.BytesIO()
    assert message.write(stream) == len(stream.getvalue()) == message.header.total_bytes
    return stream.getvalue()


@cache
def hospital():
    """(secret key, evaluation keys, query, result), as bytes; the server needs files, the hospital none."""
    client = Client(tiny_program().card, allow_insecure=True)
    secret, keys = content(client.new_secret_key()), content(client.evaluation_keys())
    query = content(client.encrypt(SEQUENCE))
    client.close()
    server = Server(tiny_program())
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keys").write_bytes(keys)
        (folder / "query").write_bytes(query)
        evaluation_keys = server.open_keys(folder / "keys")
        server.evaluate(folder / "query", evaluation_keys, folder / "result")
        result = (folder / "result").read_bytes()
    server.close()
    return secret, keys, query, result


@pytest.fixture
def client():
    client = Client(tiny_program().card, allow_insecure=True)
    yield client
    client.close()


def test_a_hospital_needs_no_files(client):
    """And reads what the circuit computes in clear; errors are at most 4 times what the simulator predicts."""
    secret, keys, query, result = hospital()
    client.load_secret_key(secret)
    found = client.decrypt(result, "case 7", query=query)
    circuit, frames = tiny_program().circuit, SEQUENCE.frames[None].astype(np.float64)
    exact = client.decrypt(result, "case 7", query=query, unrounded=True)
    decrypted = np.array([*exact.scores, *(row[0] for row in exact.contributions)])
    errors = (decrypted - run_clear(circuit, frames)[0]) / predict_errors(circuit, frames, seeds=60)
    assert np.sqrt(np.mean(errors**2)) < 4
    for source in (io.BytesIO(result), io.BufferedReader(io.BytesIO(result))):
        assert client.decrypt(source, "case 7", query=io.BytesIO(query)) == found
    with received(keys, Kind.EVALUATION_KEYS) as message:
        assert list(message.header.blobs) == evaluation_key_blobs(client.card)
        assert message.header.card == client.card.field_digests()
        message.check()


def test_paths_are_as_good(client, tmp_path):
    client.generate_keys(tmp_path)
    assert (tmp_path / SECRET_KEY_FILE).stat().st_mode & 0o777 == 0o600
    query = client.encrypt(SEQUENCE, tmp_path / "query.he")
    assert (tmp_path / "query.he").read_bytes() == content(query)
    server = Server(tiny_program())
    keys = server.open_keys(tmp_path / EVALUATION_KEYS_FILE)
    server.evaluate(tmp_path / "query.he", keys, tmp_path / "result.he")
    server.close()
    other = Client(client.card, allow_insecure=True)
    other.load_secret_key(str(tmp_path / SECRET_KEY_FILE))
    for asked in (query, tmp_path / "query.he", content(query)):
        assert other.decrypt(tmp_path / "result.he", query=asked) == client.decrypt(tmp_path / "result.he")
    with pytest.raises(DigestError, match="belongs to another sequence"):
        other.decrypt(tmp_path / "result.he", query=client.encrypt(SEQUENCE))
    other.close()


def test_progress_counts_every_byte(client, tmp_path):
    seen = []
    client.generate_keys(tmp_path, lambda done, total: seen.append((done, total)))
    size = (tmp_path / EVALUATION_KEYS_FILE).stat().st_size
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (size - 32, size)  # the checksum comes behind
    assert {total for _, total in seen} == {size}


def test_without_a_key_nothing_is_made(client):
    for make in (client.evaluation_keys, lambda: client.encrypt(SEQUENCE)):
        with pytest.raises(SequenceError, match="has no secret key yet"):
            make()
    client.load_secret_key(hospital()[0])
    client.close()
    with pytest.raises(SequenceError, match="has no secret key yet"):
        client.encrypt(SEQUENCE)


def test_a_key_of_another_card_is_refused_by_what_differs():
    """Twice: with the digest of the other program, and with that of the same (as in version 1)."""
    secret = hospital()[0]
    other = tiny_program(operating_points=(OperatingPoint(9.0),), ranges=()).card
    for card, message in (
        (other, r"made for program \w{12}, expected \w{12} \(operating_points, ranges changed\)"),
        (structs.replace(other, digest=tiny_program().digest), r"has changed: operating_points, ranges; use the"),
    ):
        client = Client(card, allow_insecure=True)
        with pytest.raises(DigestError, match=message):
            client.load_secret_key(secret)
        client.close()


def test_refusals_come_before_decryption(client, monkeypatch):
    secret, _, query, result = hospital()
    client.load_secret_key(secret)
    monkeypatch.setattr(client.context, "load_ciphertext", lambda *_, **__: pytest.fail("took a blob"))
    with pytest.raises(InputError, match="expected one line of text"):
        client.decrypt(result, "a\nb")
    with pytest.raises(SequenceError, match="got 1 frames, expected 2"):
        client.decrypt(result, frames=1)
    with pytest.raises(FileFormatError, match="holds: query; expected: result"):
        client.decrypt(query)
    damaged = bytearray(result)
    damaged[-40] ^= 1
    with pytest.raises(FileFormatError, match="checksum does not fit"):
        client.decrypt(bytes(damaged))
    client.new_secret_key()  # another one
    with pytest.raises(DigestError, match="use files made with one secret key"):
        client.decrypt(result)


def test_weak_parameters_and_wrong_shapes_are_refused(client):
    with pytest.raises(SecurityError, match="expected 128-bit security"):
        Client(tiny_program().card)
    client.load_secret_key(hospital()[0])
    with pytest.raises(SequenceError, match=r"got frames of shape \(1, 1, 8, 8\), expected \(2, 1, 8, 8\)"):
        client.encrypt(ImageSequence(SEQUENCE.frames[:1]))


def with_header(source, **changes):
    """The same container with other fields in its header, its checksum as it should be."""
    with received(source) as message:
        return content(Message(structs.replace(message.header, **changes), [blob for _, blob in message.blobs()]))


def test_headers_are_compared_before_blobs_are_used(client, monkeypatch):
    secret, _, _, result = hospital()
    monkeypatch.setattr(SecretKey, "load", lambda *_: pytest.fail("took a key"))
    with received(secret) as message:
        size = message.header.blobs[0][1]
    for changes, message in (
        ({"blobs": (("other", size),)}, f"holds 1 blobs of {size} bytes, expected 1 of {size}"),
        ({"program": "f" * 64}, r"made for program f{12}, expected \w{12}"),
    ):
        with pytest.raises(FileFormatError, match=message):
            client.load_secret_key(with_header(secret, **changes))
    monkeypatch.undo()
    client.load_secret_key(secret)
    monkeypatch.setattr(client.context, "load_ciphertext", lambda *_, **__: pytest.fail("took a blob"))
    with received(result) as message:
        size = message.header.blobs[0][1]
    for changes, message in (
        ({"blobs": (("other", size),)}, f"holds 1 blobs of {size} bytes, expected 1 of {size}"),
        ({"program": "f" * 64}, r"this result was made for program f{12}, expected \w{12}"),
        ({"key": "f" * 32}, r"this result belongs to key f{12}"),
    ):
        with pytest.raises(FileFormatError, match=message):
            client.decrypt(with_header(result, **changes))


def test_secret_keys_are_closed_when_they_are_no_longer_needed(monkeypatch):
    closed, close = [], SecretKey.close
    monkeypatch.setattr(SecretKey, "close", lambda key: (closed.append(key), close(key)))
    client = Client(tiny_program().card, allow_insecure=True)
    client.new_secret_key()
    assert not closed
    client.load_secret_key(hospital()[0])  # in place of the first
    assert len(closed) == 1
    client.close()
    assert len(set(map(id, closed))) == 2
    with pytest.raises(HandleError):
        client.new_secret_key()  # the engine is gone as well
