"""heclstm's part of `benchmarks.peers`: the compiler's own stages, without cell and vote, on the CPU backend."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
from benchmarks.peers.networks import NETWORKS, Convolution, Dense, Network, Pooling, report
from scipy import sparse

from heclstm.backend.base import key_name
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.secret import Decryptor, Encryptor, KeyGenerator
from heclstm.circuit.check import check
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.layout import VectorLayout
from heclstm.circuit.parameters import choose
from heclstm.compiler.affine import AffineMap, average_pooling
from heclstm.compiler.compile import RING_DEGREE
from heclstm.compiler.fuse import Stage
from heclstm.compiler.layouts import choose_layouts
from heclstm.compiler.levels import depth_of, manage_levels
from heclstm.compiler.linear import Entries, apply_linear
from heclstm.compiler.lower import lower_encoder
from heclstm.model.blocks.convolution.lowering import convolution


def affine(layer: Convolution | Dense | Pooling, shape: tuple[int, int, int], name: str) -> AffineMap:
    if isinstance(layer, Convolution):
        stride, padding = (layer.stride,) * 2, (layer.padding,) * 2
        return convolution(name, layer.weight, layer.bias, shape, stride, padding)
    if isinstance(layer, Pooling):
        return average_pooling(name, shape, (layer.size, layer.size))
    return AffineMap(name, sparse.csr_array(layer.weight), layer.bias, (len(layer.bias), 1, 1))


def compiled(network: Network) -> Circuit:
    """Adjacent affine maps become one; each square closes a stage; the last map makes the answer."""
    stages, pending, shape = [], None, network.shape
    for number, layer in enumerate(network.layers):
        if isinstance(layer, str):
            stages.append(Stage(f"square {number}", pending, np.tile([0.0, 0.0, 1.0], (len(pending.bias), 1))))
            pending = None
            continue
        own = affine(layer, shape, f"layer {number}")
        pending, shape = own if pending is None else own.after(pending), own.shape
    outputs = len(pending.bias)
    cell = SimpleNamespace(cell=SimpleNamespace(hidden_size=outputs, projections=1))
    fused = SimpleNamespace(frames=1, input_shape=network.shape, stages=stages, features=pending, cell=cell)
    ring_degree = RING_DEGREE
    while True:
        layouts = choose_layouts(fused, ring_degree)
        encoded = lower_encoder(fused, layouts)
        result = VectorLayout(ring_degree, 1, outputs)
        encoded.trace.layer = "answer"
        source, target = [(encoded.values, encoded.layout)], [(result, encoded.features.biases(1))]
        (output,) = apply_linear(encoded.trace, source, target, {(0, 0): Entries.of(encoded.features, 1)})[0]
        parameters = choose(depth_of(encoded.trace, output), slots_min=1)
        if parameters.ring_degree == ring_degree:
            break
        ring_degree = parameters.ring_degree
    operations, value, parameters = manage_levels(encoded.trace, output, parameters)
    return check(Circuit(parameters, layouts[0], result, tuple(operations), value))


def main(name: str, threads: int) -> None:
    network = NETWORKS[name]
    circuit = compiled(network)
    prepared = CpuBackend(threads=threads).prepare(circuit)
    context = prepared.context
    generator = KeyGenerator(context)
    secret = generator.secret_key()
    blobs = [
        (
            key_name(step),
            generator.rotation_key(secret, step, at) if step else generator.relinearization_key(secret, at),
        )
        for step, at in circuit.needed_keys.levels.items()
    ]
    keys = prepared.load_keys(blobs)
    packed = circuit.input_layout.pack(network.image().reshape(1, -1))
    query = [Encryptor(context, secret).encrypt(slots, level=circuit.input_level) for slots in packed]

    def read(answer: bytes) -> np.ndarray:
        ciphertext = context.load_ciphertext(answer, level=circuit.result_level)
        return Decryptor(context, secret).decrypt(ciphertext)

    report(
        network,
        lambda: prepared.store(prepared.evaluate(prepared.load(query), keys)),
        read,
        ring_degree=circuit.parameters.ring_degree,
        levels=circuit.input_level - circuit.result_level,
        log_qp=circuit.parameters.log_qp,
        keys_bytes=sum(len(blob) for _, blob in blobs),
        query_bytes=sum(map(len, query)),
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
