"""Every registered cell encrypted once, from keys to a diagnosis, on a small insecure ring."""

import numpy as np
import pytest

from heclstm.backend.precision import predict_errors, run_clear
from heclstm.compiler.compile import Options, compile_model
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.deploy.server import Server
from heclstm.model.cells import CELLS
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=1024, special_count=4, security="INSECURE_TEST")


@pytest.mark.parametrize("kind", CELLS)
def test_an_encrypted_cell_is_the_clear_one(kind, tmp_path):
    """Score and contributions, no further off than eight times what the simulator predicts.

    A shallow circuit's error is mostly that of its last rescale, r_0 + r_1 · s: in one slot and under one key a product
    of two normal numbers, which passes 4 times its standard deviation once in 160 and 8 times once in 10,000.
    """
    config = small_config(cell=CELLS[kind](4))
    program = compile_model(random_model(config, seed=0), TEST)
    frames = random_frames(config, 1, seed=1)
    client = Client(program.card, allow_insecure=True)
    client.generate_keys(tmp_path)
    client.encrypt(ImageSequence(frames[0].astype(np.float32), "sequence"), tmp_path / "query.he")
    server = Server(program)
    keys = server.open_keys(tmp_path / EVALUATION_KEYS_FILE)
    server.evaluate(tmp_path / "query.he", keys, tmp_path / "result.he")
    found = client.decrypt(tmp_path / "result.he", unrounded=True)
    server.close()
    client.close()
    expected = run_clear(program.circuit, frames.astype(np.float32))[0]
    error = np.abs(np.array([found.scores[0], *(row[0] for row in found.contributions)]) - expected).max()
    predicted = predict_errors(program.circuit, frames).max()
    assert 0 < error < 8 * predicted, f"error {error:.2e}, predicted {predicted:.2e}"
