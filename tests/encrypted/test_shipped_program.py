"""The shipped program at 128 bits: a real test volume through hospital and server, once in every run of the tests."""

from pathlib import Path

import numpy as np
import pytest

from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor
from heclstm.backend.simulate import SimulatedEvaluator
from heclstm.data.prepare import prepare
from heclstm.data.reading import read_volumes
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
from heclstm.deploy.server import Server
from heclstm.model.reference import forward
from heclstm.model.weights import load_model
from heclstm.program.files import load_program

ADRENAL = Path(__file__).parents[2] / "examples" / "adrenal"
VOLUMES = (0, 5)


@pytest.fixture(scope="module")
def program():
    return load_program(ADRENAL / "program")


@pytest.fixture(scope="module")
def sequences(program):
    volumes = read_volumes(ADRENAL / "volumes.npz")
    return [prepare(volumes[index], program.card.preparation, f"volume {index}") for index in VOLUMES]


def run(program, backend, sequences):
    """(sequences, 1 + T): score and contributions on a backend of clear slots."""
    layout, level = program.card.input_layout, program.card.input_level
    frames = np.stack([sequence.frames for sequence in sequences]).astype(np.float64)
    packed = layout.pack(frames.reshape(len(frames), layout.frames, -1))
    scale = program.circuit.parameters.scales[level]
    inputs = [backend.value(packed[:, i], level, scale) for i in range(layout.ciphertexts)]
    slots = Executor(program.circuit, backend).run(inputs).values
    return program.circuit.result_layout.unpack(slots[:, None, :])[:, 0]


def test_the_program_is_the_models(program, sequences):
    """Clear slots against the arrays: float64 throughout, a few thousand operations of 2^-52 on values below 16."""
    model = load_model(ADRENAL)
    assert program.card.model.digest == model.digest
    values = forward(model, np.stack([sequence.frames for sequence in sequences]))
    clear = run(program, ClearEvaluator(program.circuit.parameters.slots, program.circuit.parameters.moduli), sequences)
    assert np.abs(clear[:, 0] - values["score"][:, 0]).max() < 1e-9
    assert np.abs(clear[:, 1:] - values["contributions"][..., 0]).max() < 1e-9


@pytest.mark.slow
@pytest.mark.alone
def test_encrypted_at_128_bits(program, sequences, tmp_path):
    """Decisions agree, and the error is what the simulator predicts, within the factor of 4 that it promises."""
    card = program.card
    assert card.parameters.security == "128"
    client = Client(card)
    client.generate_keys(tmp_path)
    assert (tmp_path / SECRET_KEY_FILE).stat().st_mode & 0o777 == 0o600
    server = Server(program)
    keys = server.open_keys(tmp_path / EVALUATION_KEYS_FILE)
    assert keys.keys.loaded.rotations == card.keys.rotations, "keys needed and keys made differ"
    decrypted = []
    for sequence in sequences:
        client.encrypt(sequence, tmp_path / "query.he")
        server.evaluate(tmp_path / "query.he", keys, tmp_path / "result.he")
        decrypted.append(client.decrypt(tmp_path / "result.he", unrounded=True))
    keys.close()
    server.close()
    client.close()

    clear = run(program, ClearEvaluator(program.circuit.parameters.slots, program.circuit.parameters.moduli), sequences)
    predicted = np.concatenate(
        [run(program, SimulatedEvaluator(program.circuit.parameters, seed), sequences) - clear for seed in range(8)]
    )
    got = np.array([[d.scores[0], *(row[0] for row in d.contributions)] for d in decrypted])
    rms = np.sqrt((predicted**2).mean())
    error = np.sqrt(((got - clear) ** 2).mean())
    assert rms / 4 < error < 4 * rms, f"error {error:.2e}, simulated {rms:.2e}"
    threshold = decrypted[0].threshold
    assert [d.positive for d in decrypted] == (clear[:, 0] >= threshold).tolist()
