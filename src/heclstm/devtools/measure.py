"""Time the units of work on this machine, with throw-away keys.

Plain operations are timed by themselves. The steps of a linear transform overlap on several cores, so their prices
are the non-negative least squares over a few transforms of different shapes.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.secret import Encryptor, KeyGenerator
from heclstm.backend.cpu.values import Ciphertext
from heclstm.backend.prices import Primitives, machine_name
from heclstm.circuit.cost import ENCODING
from heclstm.circuit.operations import LinearTransform, TransformPlan
from heclstm.circuit.parameters import Parameters

TRANSFORM_UNITS = ("decomposition", "baby", "giant", "diagonal", "closing")
BABIES, GIANT = 8, 16
REPEATS = 3


def measure(
    parameters: Parameters,
    *,
    threads: int,
    levels: list[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Primitives:
    """Time every unit at a few levels (some seconds each). Makes its own throw-away keys."""
    top = parameters.max_level
    levels = levels or sorted({2, max(2, top // 3), max(2, 2 * top // 3), top})
    rows: dict[str, tuple[list[int], list[float]]] = {}
    with Context(parameters, threads=threads) as context:
        generator = KeyGenerator(context)
        secret = generator.secret_key()
        encryptor = Encryptor(context, secret)
        values = np.random.default_rng(0).uniform(-1, 1, parameters.slots)
        for done, level in enumerate(levels):
            blob = encryptor.encrypt(values, level=level)
            fresh = context.load_ciphertext(blob, level=level)
            measured = {"input": timed(partial(context.load_ciphertext, blob, level=level))}
            with closing(KeySet(context)) as keys:  # of this level, with the special primes that its keys have
                keys.load(generator.relinearization_key(secret, level))
                for step in (*range(1, BABIES + 1), GIANT):
                    keys.load(generator.rotation_key(secret, step, level))
                evaluator = CpuEvaluator(context, keys)
                measured |= {**_plain(evaluator, fresh), **_transforms(evaluator, fresh)}
                measured[ENCODING] = _encoding(evaluator, fresh)
            for unit, seconds in measured.items():
                known = rows.setdefault(unit, ([], []))
                known[0].append(level)
                known[1].append(seconds)
            if on_progress:
                on_progress(done + 1, len(levels))
    return Primitives(machine_name(), threads, rows)


def _plain(evaluator: CpuEvaluator, x: Ciphertext) -> dict[str, float]:
    vector = np.linspace(-1, 1, evaluator.context.parameters.slots)
    plain = evaluator.plaintext(vector, x.level, x.scale)
    product = timed(lambda: evaluator.sum_of_products([(x, x)]))
    return {
        "rotate": timed(lambda: evaluator.rotate(x, 1)),
        "product": product,
        "further_pair": max(0.0, timed(lambda: evaluator.sum_of_products([(x, x), (x, x)])) - product),
        "rescale": timed(lambda: evaluator.rescale(x)),
        "add": timed(lambda: evaluator.add(x, x)),
        "add_plain": timed(lambda: evaluator.add_plain(x, plain)),
        "multiply_plain": timed(lambda: evaluator.multiply_plain(x, plain)),
    }


def _transforms(evaluator: CpuEvaluator, x: Ciphertext) -> dict[str, float]:
    """Shapes (outputs, babies, giants); each with all its diagonals."""
    counts, seconds = [], []
    for outputs, babies, giants in (
        (1, 1, 1),
        (1, 9, 1),
        (1, 1, 4),
        (1, 9, 4),
        (4, 1, 1),
        (4, 5, 2),
        (2, 9, 6),
    ):
        operation = _transform(x, outputs, babies, giants, evaluator.context.parameters)
        transform = evaluator.transform(operation.plan)
        seconds.append(timed(lambda transform=transform: evaluator.linear_transform([x], transform)))  # type: ignore[misc]
        transform.close()
        units = operation.work()
        counts.append([units[unit] for unit in TRANSFORM_UNITS])
    # Each shape counts by its relative error, or the largest would decide alone.
    weights = 1 / np.array(seconds)
    prices, _ = nnls(np.array(counts, dtype=float) * weights[:, None], np.ones(len(seconds)))
    return dict(zip(TRANSFORM_UNITS, prices.tolist(), strict=True))


def _encoding(evaluator: CpuEvaluator, x: Ciphertext) -> float:
    """What a vector of full length takes more at each use if it is held as coefficients."""
    parameters = evaluator.context.parameters
    plan = _transform(x, 1, BABIES, 2, parameters, parameters.slots).plan
    seconds = []
    for compact in (False, True):
        transform = evaluator.context.transform(plan, compact=compact)
        seconds.append(timed(lambda transform=transform: evaluator.linear_transform([x], transform)))  # type: ignore[misc]
        transform.close()
    return max(0.0, seconds[1] - seconds[0]) / len(plan.vectors)


def _transform(
    x: Ciphertext, outputs: int, babies: int, giants: int, parameters: Parameters, period: int = 1 << 10
) -> LinearTransform:
    index = list(itertools.product(range(outputs), [0], range(giants), range(babies), [0]))
    own = TransformPlan(
        level=x.level,
        n_inputs=1,
        n_outputs=outputs,
        babies=tuple(range(babies)),
        chains=(tuple(GIANT * g for g in range(giants)),),
        index=np.array(index, dtype=np.int32),
        vectors=np.tile(np.linspace(-0.5, 0.5, period), (len(index), 1)),
        plaintext_scales=(x.scale,),
        output_scale=x.scale**2,
        special_count=parameters.special_at(x.level),
    )
    return LinearTransform("measurement", tuple(range(1, outputs + 1)), x.level, x.scale**2, (0,), own)


def timed(action: Callable[[], Any]) -> float:
    """Median seconds of some runs after one that does not count."""
    action()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return median(seconds)
