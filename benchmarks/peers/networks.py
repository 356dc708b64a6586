"""Networks that more than one library can evaluate, with random weights, and what they compute in clear.

Nothing but NumPy: every library's interpreter reads this.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SQUARE = "square"
RUNS = 5


@dataclass(frozen=True)
class Convolution:
    """weight: (C_out, C_in, k, k)."""

    weight: Array
    bias: Array
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class Dense:
    """weight: (out, in)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Pooling:
    """Means over size × size windows."""

    size: int


Layer = Convolution | Dense | Pooling | str


@dataclass(frozen=True)
class Network:
    """title: for the table. by: which libraries evaluate it. depth: levels where every layer takes one."""

    title: str
    by: tuple[str, ...]
    shape: tuple[int, int, int]
    layers: tuple[Layer, ...]

    @property
    def depth(self) -> int:
        return len(self.layers)

    def image(self) -> Array:
        return np.random.default_rng(1).random(self.shape)

    def clear(self, image: Array) -> Array:
        x = image
        for layer in self.layers:
            if isinstance(layer, Convolution):
                x = _convolve(x, layer)
            elif isinstance(layer, Dense):
                x = layer.weight @ x.ravel() + layer.bias
            elif isinstance(layer, Pooling):
                channels, height, width = x.shape
                size = layer.size
                x = x.reshape(channels, height // size, size, width // size, size).mean((2, 4))
            else:
                x = x * x
        return x


def _convolve(x: Array, layer: Convolution) -> Array:
    pad = layer.padding
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weight.shape[2:], axis=(1, 2))
    windows = windows[:, :: layer.stride, :: layer.stride]
    return np.einsum("cyxkl,ockl->oyx", windows, layer.weight) + layer.bias[:, None, None]


def _made(seed: int) -> dict[str, Network]:
    random = np.random.default_rng(seed)

    def convolution(outputs: int, inputs: int, size: int, stride: int, padding: int = 0) -> Convolution:
        bound = 1.5 / np.sqrt(inputs * size * size)  # so that what squares make of it stays near 1
        weight = random.uniform(-bound, bound, (outputs, inputs, size, size))
        return Convolution(weight, random.uniform(-0.5, 0.5, outputs), stride, padding)

    def dense(outputs: int, inputs: int) -> Dense:
        bound = 1.5 / np.sqrt(inputs)
        return Dense(random.uniform(-bound, bound, (outputs, inputs)), random.uniform(-0.5, 0.5, outputs))

    small = (1, 28, 28)
    return {
        "mnist": Network(
            "TenSEAL's MNIST tutorial: convolution 4 of 7×7 by 3, 256 → 64 → 10",
            ("heclstm", "tenseal", "orion"),
            small,
            (convolution(4, 1, 7, 3), SQUARE, dense(64, 256), SQUARE, dense(10, 64)),
        ),
        "lola": Network(
            "Orion's LoLA: convolution 5 of 2×2 by 2, 980 → 100 → 10",
            ("heclstm", "tenseal", "orion"),
            small,
            (convolution(5, 1, 2, 2), SQUARE, dense(100, 980), SQUARE, dense(10, 100)),
        ),
        "encoder": Network(
            "three blocks on one frame of 8×32×32: 16, 32, 64 channels of 3×3, pooling, 1024 → 32",
            ("heclstm", "orion"),
            (8, 32, 32),
            (
                *(convolution(16, 8, 3, 1, 1), SQUARE, Pooling(2)),
                *(convolution(32, 16, 3, 1, 1), SQUARE, Pooling(2)),
                *(convolution(64, 32, 3, 1, 1), SQUARE, Pooling(2)),
                dense(32, 1024),
            ),
        ),
    }


NETWORKS = _made(0)


def memory_bytes() -> int:
    """The most that this process has had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(network: Network, evaluate: Callable[[], Any], read: Callable[[Any], Array], **more: Any) -> None:
    """Evaluate some times after one, read the last answer, and print what was seen as JSON on the last line.

    Seconds are of the evaluation alone: nobody's encryption or decryption counts.
    """
    seconds, busy = [], []
    for _ in range(RUNS + 1):
        start = time.perf_counter(), time.process_time()
        answer = evaluate()
        seconds.append(time.perf_counter() - start[0])
        busy.append(time.process_time() - start[1])
    expected = network.clear(network.image()).ravel()
    found = np.asarray(read(answer), dtype=np.float64).ravel()[: expected.size]
    error = float(np.abs(found - expected).max())
    times = {"seconds": median(seconds[1:]), "processor_seconds": median(busy[1:])}
    row = {**times, "memory_bytes": memory_bytes(), "error": error, **more}
    if not error < 0.5 * float(np.abs(expected).max()):  # what wrong packing gives; noise is told in the table
        sys.exit(f"{network.title}: the answer is wrong by {error}")
    print(json.dumps(row))
