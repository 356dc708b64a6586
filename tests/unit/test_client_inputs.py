"""What people hand to client and server: arrays, files, bytes, messages; and what they get back of it."""

import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import heclstm
from heclstm.backend.cpu.secret import KeyGenerator
from heclstm.card.preparation import Preparation
from heclstm.card.signature import new_pair, sign
from heclstm.data.sequence import ImageSequence
from heclstm.errors import (
    DigestError,
    FileFormatError,
    HandleError,
    OutputError,
    SequenceError,
    SignatureError,
)
from heclstm.program.files import save_program
from heclstm.program.public import save_card
from random_models import random_frames
from tiny_program import CONFIG, tiny_program

IMAGES = random_frames(CONFIG, 1, 3)[0].astype(np.float32)  # (2, 1, 8, 8)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "program"
    save_program(tiny_program(), folder)
    return folder


@pytest.fixture
def client(program):
    with heclstm.Client(program, allow_insecure=True) as client:
        client.new_secret_key()
        yield client


def answered(program, client, query):
    with heclstm.Server(program) as server, server.open_keys(client.evaluation_keys()) as tenant:
        return server.evaluate(query, tenant)


def test_from_an_array_to_a_diagnosis_without_a_file(program, client):
    """Messages pass for their bytes, in both directions."""
    query = client.encrypt(IMAGES)
    result = answered(program, client, query)
    found = client.decrypt(result, "case 7", query=query)
    assert found == client.decrypt(bytes(result), "case 7", query=bytes(query))
    assert found.positive == (found.score >= found.threshold)
    assert (found.score, found.name) == (found.scores[0], "case 7")


def test_the_same_with_files(program, tmp_path):
    """Paths as text; a key folder that holds a secret key is not written over."""
    place = str(tmp_path / "keys")
    with heclstm.Client(str(program / "program.json"), allow_insecure=True) as client:
        keys = client.generate_keys(place)
        assert keys == tmp_path / "keys" / "evaluation.keys"
        with pytest.raises(OutputError, match="holds a secret key, which is not replaced"):
            client.generate_keys(place)
    with heclstm.Client(program, tmp_path / "keys" / "secret.key", allow_insecure=True) as client:
        query = client.encrypt(IMAGES, str(tmp_path / "query.he"))
        with heclstm.Server(str(program)) as server, server.open_keys(str(keys)) as tenant:
            result = server.evaluate(str(tmp_path / "query.he"), tenant, str(tmp_path / "result.he"))
            assert (tmp_path / "result.he").read_bytes() == bytes(result)
            tenant.save(str(tmp_path / "tenant.keys"))
        with heclstm.Server(program) as server, server.open_keys(tmp_path / "tenant.keys") as tenant:
            assert bytes(server.evaluate(bytes(query), tenant)) == bytes(result)
        assert client.decrypt(result) == client.decrypt(str(tmp_path / "result.he"))


def test_a_program_may_be_anything_that_tells_its_card(program):
    card = heclstm.load_card(program)
    content = (program / "program.json").read_bytes()
    for given in (program, str(program), content, io.BytesIO(content), card, heclstm.load_program(str(program))):
        with heclstm.Client(given, allow_insecure=True) as client:
            assert client.card.digest == card.digest
    with pytest.raises(FileFormatError, match="message of 2 bytes: is no heclstm-program"):
        heclstm.Client(b"{}")


def test_what_is_no_source_is_refused():
    for wrong in (3, None, [1, 2]):
        with pytest.raises(FileFormatError, match=f"{type(wrong).__name__}: is no source; expected a path, bytes"):
            heclstm.Client(wrong)


def test_leaving_the_block_closes(program):
    with heclstm.Client(program, allow_insecure=True) as client, heclstm.Server(program) as server:
        client.new_secret_key()
        tenant = server.open_keys(client.evaluation_keys())
        query = client.encrypt(IMAGES)
    with pytest.raises(HandleError, match="Context: it is closed"):
        client.new_secret_key()
    with pytest.raises(HandleError):
        server.evaluate(query, tenant)


def test_a_foreign_secret_key_leaves_nothing_open(program, monkeypatch):
    closed = []
    monkeypatch.setattr(heclstm.Client, "close", lambda client: closed.append(client))
    with pytest.raises(FileFormatError, match="is no heclstm file"):
        heclstm.Client(program, b"not a key", allow_insecure=True)
    assert len(closed) == 1
    with heclstm.Client(tiny_program(ranges=()), allow_insecure=True) as other:
        secret = bytes(other.new_secret_key())
    with pytest.raises(DigestError, match="was made for program"):
        heclstm.Client(program, secret, allow_insecure=True)


def test_arrays_are_prepared_as_the_model_was_trained(client):
    """And refused as everywhere; a sequence that was prepared is taken as it is."""
    grey = (IMAGES[:, 0] * 255).astype(np.uint8)
    sequence = client.prepared(grey)
    np.testing.assert_array_equal(sequence.frames[:, 0], grey.astype(np.float32) / 255)
    assert client.prepared(sequence) is sequence
    for wrong, message in (
        (IMAGES[:1], "number of frames: got 1, expected 2"),
        (IMAGES * 2, r"values outside \[0, 1\]"),
        (np.full_like(IMAGES, np.nan), "NaN or infinite"),
        (IMAGES.astype(np.int16), "got values of type int16"),
        ("folder/", "hand files to `read`"),
        (Path("folder/"), "hand files to `read`"),
        (None, "got values of type object"),
    ):
        with pytest.raises(SequenceError, match=message):
            client.encrypt(wrong)


def test_a_program_that_says_nothing_of_images_takes_its_own_shape(tmp_path):
    with heclstm.Client(tiny_program(preparation=None), allow_insecure=True) as client:
        np.testing.assert_array_equal(client.prepared(IMAGES).frames, IMAGES)
        with pytest.raises(SequenceError, match="height: got 4, expected 8"):
            client.prepared(IMAGES[..., :4, :])
        with pytest.raises(SequenceError, match="does not say how images are prepared; hand `encrypt` an array"):
            client.read(tmp_path / "any.npy")


def test_files_are_read_with_their_order(client, tmp_path):
    """By the rules of the command line; what was read can be encrypted as it comes."""
    np.save(tmp_path / "volume.npy", IMAGES)
    handed = client.read(str(tmp_path / "volume.npy"))
    np.testing.assert_array_equal(handed.sequence.frames, IMAGES)
    assert client.prepared(handed) is handed.sequence
    np.savez(tmp_path / "many.npz", images=np.stack([IMAGES * 0, IMAGES]))
    np.testing.assert_array_equal(client.read(tmp_path / "many.npz", row=1).sequence.frames, IMAGES)
    for name, value in (("frame 10.png", 10), ("frame 9.png", 9)):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / name)
    handed = client.read([str(tmp_path / "frame 10.png"), tmp_path / "frame 9.png"])
    assert [round(frame.max() * 255) for frame in handed.sequence.frames] == [9, 10]
    assert "by" in handed.told()[0]
    given = client.read([tmp_path / "frame 10.png", tmp_path / "frame 9.png"], as_given=True)
    assert [round(frame.max() * 255) for frame in given.sequence.frames] == [10, 9]


def padded_program():
    size = (2, 1, 8, 8)
    return tiny_program(preparation=Preparation("frames", size, *size, length="pad"))


def test_a_client_remembers_how_many_frames_its_queries_had():
    """Neither server nor result knows; another client must be told."""
    program = padded_program()
    with heclstm.Client(program, allow_insecure=True) as client:
        secret = bytes(client.new_secret_key())
        query = client.encrypt(list(IMAGES[:1]))
        result = answered(program, client, query)
        found = client.decrypt(result)
        assert (found.frames, found.contributions[1]) == (1, (0.0,))
        whole = client.decrypt(answered(program, client, client.encrypt(IMAGES)))
        assert whole.frames is None
    with heclstm.Client(program, secret, allow_insecure=True) as other:
        with pytest.raises(SequenceError, match="takes 1 to 2 frames; say how many this sequence had"):
            other.decrypt(result)
        assert other.decrypt(result, frames=1) == found


def test_the_owners_signature_is_asked_for_where_somebody_is_trusted(tmp_path):
    pair, other = new_pair(), new_pair()
    program = tiny_program()
    card = program.card.with_program(program.card.circuit, program.digest, sign(program.digest, pair.private))
    save_card(card, tmp_path / "program.json")
    for given in (card, tmp_path / "program.json"):
        heclstm.Client(given, trust=pair.public, allow_insecure=True).close()
    with pytest.raises(SignatureError, match=r": is signed by \w+, expected \w+; ask whom"):
        heclstm.Client(tmp_path, trust=other.public, allow_insecure=True)
    with pytest.raises(SignatureError, match="program: is not signed"):
        heclstm.Client(program, trust=pair.public, allow_insecure=True)


def test_messages_tell_what_they_are_and_nothing_they_hold(client):
    query = client.encrypt(ImageSequence(IMAGES))
    assert repr(query) == f"<query of {len(bytes(query))} bytes for program {client.card.digest[:12]}>"
    assert bytes(query) == bytes(query)
    keys = client.evaluation_keys()
    assert len(bytes(keys)) == keys.header.total_bytes
    with pytest.raises(FileFormatError, match=r"evaluation keys: blobs .* are missing"):
        bytes(keys)  # they are made while they are written


def test_bytes_of_keys_that_were_saved_expanded_are_no_message(program, client, tmp_path):
    """They are mapped from a file."""
    with heclstm.Server(program) as server:
        with server.open_keys(client.evaluation_keys()) as tenant:
            tenant.save(tmp_path / "tenant.keys")
        with pytest.raises(FileFormatError, match="is no heclstm file"):
            server.open_keys(Path(tmp_path / "tenant.keys").read_bytes())


@pytest.mark.parametrize("threads", [1, 3])
def test_keys_are_made_on_the_threads_that_were_asked_for(program, monkeypatch, threads):
    """They were made on two, whatever `keygen --threads` said."""
    makers = set()

    class Watched(KeyGenerator):
        def rotation_key(self, *arguments):
            time.sleep(0.01)  # so that no thread makes them all
            makers.add(threading.get_ident())
            return super().rotation_key(*arguments)

    monkeypatch.setattr("heclstm.deploy.client.KeyGenerator", Watched)
    with heclstm.Client(program, threads=threads, allow_insecure=True) as client:
        client.new_secret_key()
        assert len(client.card.keys.rotations) > threads
        bytes(client.evaluation_keys())
    assert len(makers) == threads
