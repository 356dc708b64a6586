"""A network in PyTorch against the reference, on random weights."""

import numpy as np
import pytest

from heclstm.model.reference import forward
from random_models import random_frames


def randomized(network, torch):
    """Random weights and running statistics, none of them constant, so that a swapped axis or gate shows."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype) + 0.5)
    return network.eval()


def assert_equal_to_the_reference(config):
    torch = pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
    from heclstm.model.train.network import HeClstm, export

    torch.manual_seed(0)
    network = randomized(HeClstm(config).double(), torch)
    frames = torch.from_numpy(random_frames(config, 5, seed=3))
    with torch.no_grad():
        values = network.values(frames)
    reference = forward(export(network), frames.numpy())
    assert set(values) == set(reference)
    for name, value in reference.items():
        magnitude = max(1.0, np.abs(value).max())  # random polynomials of degree three run away
        np.testing.assert_allclose(values[name].numpy(), value, atol=1e-9 * magnitude, rtol=0, err_msg=name)
    assert np.ptp(reference["score"]) > 1e-6  # it depends on the frames
