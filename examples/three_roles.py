"""The whole way in Python: model owner, hospital and server, each with what it holds and nothing else.

The network has random weights and two frames, so that a ring of degree 2^14 holds it at 128 bits and everything
takes seconds. `quickstart.ipynb` and `heclstm demo` do the same with a trained model and real volumes.
"""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import heclstm
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.reference import forward
from heclstm.model.weights import expected_shapes

rng = np.random.default_rng(0)


def random_model(config: ModelConfig) -> heclstm.Model:
    """Weights that keep values near one; a real model comes from `heclstm train`."""
    arrays = {}
    for name, shape in expected_shapes(config).items():
        arrays[name] = rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]))
    arrays["blocks.0.coefficients"] = np.tile([0.2, 0.5, 0.2], (config.blocks[0].out_channels, 1))
    arrays["lstm.gate_coefficients"] = np.array([[0.5, 0.2], [0.5, 0.2], [0.0, 1.0], [0.5, 0.2]])
    arrays["lstm.cell_output_coefficients"] = np.array([0.0, 1.0])
    arrays["weighted_unit.alpha"] = np.array([0.4])
    arrays["vote.weight"] = np.array([0.3, 0.7])
    return heclstm.Model(config, arrays, {"operating_point": {"threshold": 0.0}})  # training chooses a better one


def model_owner(program_folder: Path) -> heclstm.Model:
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
    heclstm.save_program(heclstm.compile_model(model), program_folder)
    return model


def server(program_folder: Path, keys: Path, query: bytes) -> bytes:
    """Sees ciphertexts and evaluation keys."""
    with heclstm.Server(program_folder) as engine, engine.open_keys(keys) as tenant:
        return bytes(engine.evaluate(query, tenant))


def hospital(published: Path, images: np.ndarray, program_folder: Path) -> heclstm.Diagnosis:
    """Holds the images and the secret key, which never leave this function but for a folder of the hospital's own.

    published: program.json. To the server go evaluation.keys, once, and queries.
    """
    with TemporaryDirectory() as folder, heclstm.Client(published) as client:
        keys = client.generate_keys(folder)
        query = client.encrypt(images)
        result = server(program_folder, keys, bytes(query))
        return client.decrypt(result, query=query)


with TemporaryDirectory() as name:
    program_folder = Path(name, "program")
    model = model_owner(program_folder)
    images = rng.random((2, 1, 16, 16), dtype=np.float32)
    diagnosis = hospital(program_folder / "program.json", images, program_folder)
    clear = forward(model, images[None])["score"][0, 0]
    print(f"decrypted {diagnosis.score:+.3f}, in clear {clear:+.3f}, decision {diagnosis.decision}")
    assert abs(diagnosis.score - clear) < 1e-3
