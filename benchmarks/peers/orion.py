"""Orion's part of `benchmarks.peers`: its own modules, packing and level policy, at the smallest ring that is secure.

Batch normalisation is left out of its networks, since it is folded into the layer before it. Scales of 26 bits and
one special prime, as in its examples, but within 128 bits (those of its MLP example have 463 at 2^13).
"""

from __future__ import annotations

import sys

import numpy as np
import orion
import orion.nn as on
import torch
from benchmarks.peers.networks import NETWORKS, Convolution, Dense, Network, Pooling, report

LIMIT = {13: 218, 14: 438, 15: 881}  # log2(QP) of 128 bits, ternary secrets (Homomorphic Encryption Standard)
SCALE, BASE = 26, 29


class Net(on.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.count, flat = len(network.layers), False
        for number, layer in enumerate(network.layers):
            if isinstance(layer, Convolution):
                outputs, inputs, size, _ = layer.weight.shape
                module = on.Conv2d(inputs, outputs, kernel_size=size, stride=layer.stride, padding=layer.padding)
            elif isinstance(layer, Dense):
                module = on.Linear(layer.weight.shape[1], layer.weight.shape[0])
                if not flat:
                    self.flatten_at, flat = number, True
            elif isinstance(layer, Pooling):
                module = on.AvgPool2d(layer.size)
            else:
                module = on.Quad()
            if isinstance(layer, Convolution | Dense):
                module.weight.data = torch.tensor(layer.weight, dtype=torch.float32)
                module.bias.data = torch.tensor(layer.bias, dtype=torch.float32)
            setattr(self, f"layer{number}", module)
        self.flatten = on.Flatten()

    def forward(self, x):
        for number in range(self.count):
            if number == self.flatten_at:
                x = self.flatten(x)
            x = getattr(self, f"layer{number}")(x)
        return x


def main(name: str) -> None:
    network = NETWORKS[name]
    log_q = [BASE] + [SCALE] * network.depth
    log_qp = sum(log_q) + BASE
    log_n = min(n for n, limit in LIMIT.items() if log_qp <= limit and 2 ** (n - 1) >= np.prod(network.shape))
    orion.init_scheme(
        {
            "ckks_params": {
                **{"LogN": log_n, "LogQ": log_q, "LogP": [BASE], "LogScale": SCALE},
                **{"H": 2 ** (log_n + 1) // 3, "RingType": "Standard"},
            },
            "orion": {
                **{"margin": 2, "embedding_method": "hybrid", "backend": "lattigo", "fuse_modules": True},
                **{"debug": False, "io_mode": "none"},
            },
        }
    )
    net = Net(network)
    net.eval()
    image = torch.tensor(network.image(), dtype=torch.float32)[None]
    net(image)
    orion.fit(net, image)
    level = orion.compile(net)
    query = orion.encrypt(orion.encode(image, level))
    net.he()
    facts = {"ring_degree": 2**log_n, "levels": level, "log_qp": log_qp}
    report(network, lambda: net(query), lambda answer: answer.decrypt().decode().detach().numpy(), **facts)


if __name__ == "__main__":
    main(sys.argv[1])
