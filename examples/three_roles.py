"""The whole way in Python: model owner, hospital and server, each with what it holds and nothing else.

The network has random weights and two frames, so that a ring of degree 2^14 holds it at 128 bits and everything
takes seconds. `heclstm demo` does the same with a trained model and real volumes.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from heclstm.compiler.compile import compile_model
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client
from heclstm.deploy.server import Server
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.reference import forward
from heclstm.model.weights import Model, expected_shapes
from heclstm.program.files import load_card, load_program, save_program

rng = np.random.default_rng(0)


def random_model(config: ModelConfig) -> Model:
    """Weights that keep values near one; a real model comes from `heclstm train`."""
    arrays = {}
    for name, shape in expected_shapes(config).items():
        arrays[name] = rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))
    arrays["blocks.0.coefficients"] = np.tile([0.2, 0.5, 0.2], (config.blocks[0].out_channels, 1))
    arrays["lstm.gate_coefficients"] = np.array([[0.5, 0.2], [0.5, 0.2], [0.0, 1.0], [0.5, 0.2]])
    arrays["lstm.cell_output_coefficients"] = np.array([0.0, 1.0])
    arrays["weighted_unit.alpha"] = np.array([0.4])
    arrays["vote.weight"] = np.array([0.3, 0.7])
    return Model(
        config, arrays, {"operating_point": {"threshold": 0.0}}
    )  # training chooses one that is worth something


def model_owner(program_folder: Path) -> Model:
    """Publishes a program. The server sees its weights; the hospital needs program.json only."""
    config = ModelConfig(
        frames=2,
        channels=1,
        height=16,
        width=16,
        blocks=(BlockConfig(out_channels=8),),
        cell=LstmConfig(hidden_size=8),
    )
    model = random_model(config)
    save_program(compile_model(model), program_folder)
    return model


def hospital_encrypts(card_file: Path, images: np.ndarray, folder: Path) -> tuple[Client, Case]:
    """Makes keys and a query. secret.key never leaves `folder`, nor does the case: whose query it is."""
    client = Client(load_card(card_file))
    client.generate_keys(folder)
    sequence = ImageSequence(images)
    query = client.encrypt(sequence)
    query.save(folder / "query.he")
    return client, Case.of(query.header, sequence, name="patient 7")


def server_evaluates(program_folder: Path, keys: Path, query: Path, result: Path) -> None:
    """Sees ciphertexts and evaluation keys."""
    server = Server(load_program(program_folder))
    with server.open_keys(keys) as tenant:
        server.evaluate(query, tenant, result)
    server.close()


with TemporaryDirectory() as name:
    folder = Path(name)
    model = model_owner(folder / "program")
    images = rng.random((2, 1, 16, 16), dtype=np.float32)

    client, case = hospital_encrypts(folder / "program" / "program.json", images, folder)
    server_evaluates(folder / "program", folder / "evaluation.keys", folder / "query.he", folder / "result.he")
    diagnosis = client.decrypt(folder / "result.he", case.name, case=case)
    client.close()

    clear = forward(model, images[None])["score"][0, 0]
    print(f"decrypted {diagnosis.scores[0]:+.3f}, in clear {clear:+.3f}, decision {diagnosis.decision}")
    assert abs(diagnosis.scores[0] - clear) < 1e-3
