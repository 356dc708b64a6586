"""TenSEAL's part of `benchmarks.peers`: as its tutorial on encrypted convolutions goes.

With the tutorial's parameters, and with scales of 40 bits, as precise as ours. The answers of both are off by 0.2: a
product with a matrix after another one is where that begins; a fresh vector in place of the first's result is right.
"""

from __future__ import annotations

import sys

import numpy as np
import tenseal
from benchmarks.peers.networks import NETWORKS, Convolution, Dense, report

DEPTH = 6  # of its convolution two, of each square and each dense layer one
PARAMETERS = {"tutorial": (8192, 26, 31), "precise": (16384, 40, 60)}  # ring degree, bits of scales, of the two ends
# 218 and 360 bits, of 218 and 438 that 128 bits of security allow


def main(name: str, precision: str) -> None:
    ring_degree, scale, ends = PARAMETERS[precision]
    bits = [ends, *[scale] * DEPTH, ends]
    network = NETWORKS[name]
    opening, *rest = network.layers
    assert isinstance(opening, Convolution)  # the client unrolls its windows, so there can be one only
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=ring_degree, coeff_mod_bit_sizes=bits)
    context.global_scale = 2**scale
    context.generate_galois_keys()
    size = opening.weight.shape[-1]
    image = network.image()[0].tolist()
    query, windows = tenseal.im2col_encoding(context, image, size, size, opening.stride)
    kernels = [kernel[0].tolist() for kernel in opening.weight]
    biases = opening.bias.tolist()
    dense = [(layer.weight.T.tolist(), layer.bias.tolist()) for layer in rest if isinstance(layer, Dense)]

    def evaluate() -> object:
        channels = [query.conv2d_im2col(kernel, windows) + bias for kernel, bias in zip(kernels, biases, strict=True)]
        x = tenseal.CKKSVector.pack_vectors(channels)
        for weight, bias in dense:
            x.square_()
            x = x.mm(weight) + bias
        return x

    keys = context.serialize(save_public_key=False, save_secret_key=False, save_galois_keys=True, save_relin_keys=True)
    report(
        network,
        evaluate,
        lambda answer: np.array(answer.decrypt()),
        ring_degree=ring_degree,
        levels=DEPTH,
        log_qp=sum(bits),
        keys_bytes=len(keys),
        query_bytes=len(query.serialize()),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
