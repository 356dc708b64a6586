"""A tiny program without security, and its keys."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from command_line import call, refused
from heclstm.card.preparation import Preparation
from heclstm.model.weights import save_model
from random_models import random_frames, random_model, small_config

RING_DEGREE = 1 << 11
__all__ = ["call", "refused"]
METADATA = {
    "preparation": Preparation("frames", (3, 2, 8, 8), frames=3, channels=2, height=8, width=8).to_json(),
    "operating_point": {"threshold": 0.25, "sensitivity": 0.95, "specificity": 0.5},
    "attribution": "Random numbers",
}


@pytest.fixture(scope="session")
def compiled(call, tmp_path_factory):
    """seed → program folder."""

    def compile_random(seed) -> Path:
        folder = tmp_path_factory.mktemp(f"model{seed}")
        save_model(random_model(small_config(), seed).with_metadata(**METADATA), folder / "model")
        options = ("--ring-degree", RING_DEGREE, "--insecure-test")
        code, _, stderr = call("compile", folder / "model", "-o", folder / "program", *options)
        assert code == 0, stderr
        return folder / "program"

    return compile_random


@pytest.fixture(scope="session")
def site(call, compiled, tmp_path_factory):
    """program, keys, images and query of one hospital, and the result of the server."""
    folder = tmp_path_factory.mktemp("site")
    program, keys, images = compiled(1), folder / "keys", folder / "images.npy"
    np.save(images, random_frames(small_config(), 1, seed=0)[0].astype(np.float32))
    query, result = folder / "query.he", folder / "result.he"
    for arguments in (
        ("keygen", program, "-o", keys, "--insecure-test"),
        ("encrypt", program, images, "--key", keys / "secret.key", "-o", query, "--insecure-test"),
        ("run", program, query, "--keys", keys / "evaluation.keys", "-o", result),
    ):
        code, _, stderr = call(*arguments)
        assert code == 0, stderr
    return SimpleNamespace(
        program=program,
        images=images,
        secret=keys / "secret.key",
        keys=keys / "evaluation.keys",
        query=query,
        result=result,
    )
