"""The networks of `benchmarks.peers`: what we compile is what every library is asked for."""

import numpy as np
import pytest
from benchmarks.peers.networks import NETWORKS
from benchmarks.peers.ours import compiled

from heclstm.backend.clear import ClearBackend


@pytest.mark.parametrize("name", ["mnist", "lola"])
def test_what_we_compile_is_the_network(name):
    network = NETWORKS[name]
    circuit = compiled(network)
    prepared = ClearBackend().prepare(circuit)
    packed = circuit.input_layout.pack(network.image().reshape(1, -1))
    inputs = prepared.load([row.astype("<f8").tobytes() for row in packed])
    found = np.frombuffer(prepared.store(prepared.evaluate(inputs, prepared.load_keys())), "<f8")
    expected = network.clear(network.image())
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=0, atol=1e-9)
    assert circuit.parameters.security == "128"
    assert circuit.input_level - circuit.result_level == network.depth
