"""Hospital and server in one process, on a small insecure ring: keys under false names, results of other queries."""

import numpy as np
import pytest

from heclstm.compiler.compile import Options, compile_model
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.deploy.server import Server
from heclstm.deploy.wire import Kind, read_file, read_header, write_file
from heclstm.errors import DigestError, FileFormatError, MissingKeyError
from heclstm.program.files import load_card, load_program, save_program
from random_models import random_frames, random_model, small_config


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parties")
    options = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")
    save_program(compile_model(random_model(small_config(), 0), options), folder / "program")
    card = load_card(folder / "program")
    client = Client(card, allow_insecure=True)
    client.generate_keys(folder)
    for name, seed in (("first", 1), ("second", 2)):
        frames = random_frames(small_config(), 1, seed)[0].astype(np.float32)
        client.encrypt(ImageSequence(frames, name), folder / f"{name}.he")
    server = Server(load_program(folder / "program"))
    yield folder, client, server
    server.close()
    client.close()


def test_a_key_under_another_name_is_refused(parties):
    """The checksum fits and the sizes do; only the steps inside of the blobs tell."""
    folder, _, server = parties
    keys = folder / EVALUATION_KEYS_FILE
    blobs = [blob for _, blob in read_file(keys, Kind.EVALUATION_KEYS)]
    header = read_header(keys, Kind.EVALUATION_KEYS)
    same = [i for i, (_, size) in enumerate(header.blobs) if size == header.blobs[-1][1]]
    blobs[same[-2]] = blobs[same[-1]]
    write_file(folder / "false.keys", header, blobs)
    with pytest.raises(FileFormatError, match=r"rotation \d+ is the key of rotation \d+"):
        server.load_keys(folder / "false.keys")
    with pytest.raises(MissingKeyError, match="has no evaluation keys"):
        server.evaluate(folder / "first.he", folder / "result.he")


def test_a_result_of_another_query_is_refused(parties):
    folder, client, server = parties
    server.load_keys(folder / EVALUATION_KEYS_FILE)
    server.evaluate(folder / "first.he", folder / "result.he")
    assert client.decrypt(folder / "result.he", query=folder / "first.he").scores
    with pytest.raises(DigestError, match="belongs to another sequence"):
        client.decrypt(folder / "result.he", query=folder / "second.he")


def test_keys_replaced_during_an_evaluation_are_noticed(parties):
    folder, client, server = parties
    server.load_keys(folder / EVALUATION_KEYS_FILE)
    client_b = Client(client.card, allow_insecure=True)
    client_b.generate_keys(folder / "b")
    client_b.close()
    seen = []

    def replace_keys(operation, outputs):
        if not seen:
            seen.append(operation)
            server.load_keys(folder / "b" / EVALUATION_KEYS_FILE)

    with pytest.raises(MissingKeyError, match="were replaced during an evaluation"):
        server.evaluate(folder / "first.he", folder / "mixed.he", replace_keys)
    assert not (folder / "mixed.he").exists()
