"""What a server takes from nobody: keys and queries of other programs, of other sizes, or of nobody."""

from types import SimpleNamespace

import numpy as np
import pytest
from msgspec import structs

from heclstm.backend.cpu.backend import CpuBackend
from heclstm.card.temperature import Temperature
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.server import Server
from heclstm.deploy.wire import Kind, Message, received
from heclstm.errors import DigestError, FileFormatError, HandleError
from random_models import random_frames
from tiny_program import CONFIG, tiny_program

SEQUENCE = ImageSequence(random_frames(CONFIG, 1, 3)[0].astype(np.float32))
OTHER = tiny_program(temperature=Temperature(0.5))  # the same circuit: its keys and queries would be computed with


@pytest.fixture(scope="module")
def server():
    with Server(tiny_program(), CpuBackend(threads=1)) as server:
        yield server


def sent(program):
    """(evaluation keys, query)"""
    with Client(program, allow_insecure=True) as client:
        client.new_secret_key()
        return bytes(client.evaluation_keys()), bytes(client.encrypt(SEQUENCE))


@pytest.fixture(scope="module")
def own():
    return sent(tiny_program())


def shortened(content, kind):
    """The same message, without its last blob."""
    with received(content, kind) as message:
        header, blobs = message.header, [blob for _, blob in message.blobs()]
    return bytes(Message(structs.replace(header, blobs=header.blobs[:-1]), blobs[:-1]))


def test_keys_of_another_program_are_refused(server, own):
    with pytest.raises(DigestError, match="temperature changed"):
        server.open_keys(sent(OTHER)[0])
    with pytest.raises(FileFormatError, match="blobs of .* bytes, expected"):
        server.open_keys(shortened(own[0], Kind.EVALUATION_KEYS))


def test_queries_of_another_program_are_refused(server, own):
    keys, query = own
    with server.open_keys(keys) as tenant:
        server.evaluate(query, tenant)
        with received(query, Kind.QUERY) as message:
            header, blobs = message.header, [blob for _, blob in message.blobs()]
        foreign = Message(structs.replace(header, program=OTHER.digest), blobs)
        with pytest.raises(DigestError, match="program"):
            server.evaluate(bytes(foreign), tenant)
        doubled = Message(structs.replace(header, blobs=header.blobs * 2), blobs * 2)
        with pytest.raises(FileFormatError, match="blobs of .* bytes, expected"):
            server.evaluate(bytes(doubled), tenant)


@pytest.mark.parametrize(
    ("note", "error"),
    [
        (b'{"program": "0123", "key": "45"}', DigestError),
        (b'{"program": 1, "key": "45"}', FileFormatError),
        (b'{"program": "0123", "key": 2}', FileFormatError),
    ],
)
def test_saved_keys_that_are_refused_are_closed(server, tmp_path, monkeypatch, note, error):
    closed = []
    keys = SimpleNamespace(note=note, close=lambda: closed.append(True))
    monkeypatch.setattr(server.prepared, "load_keys", lambda _: keys)
    (tmp_path / "saved").write_bytes(b"not a message")
    with pytest.raises(error, match="saved: "):
        server.open_keys(tmp_path / "saved")
    assert closed == [True]


def test_leaving_the_block_closes(own):
    with Server(tiny_program(), CpuBackend(threads=1)) as server:
        keys = server.open_keys(own[0])
        server.evaluate(own[1], keys)
    with pytest.raises(HandleError):
        server.evaluate(own[1], keys)
