"""Time the units of work on this machine, with throw-away keys.

Plain operations are timed by themselves. The steps of a linear transform overlap on several cores, so their prices
are the non-negative least squares over a few transforms of different shapes.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
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
from heclstm.circuit.cost import ENCODING, UNITS
from heclstm.circuit.operations import LinearTransform, TransformPlan
from heclstm.circuit.parameters import Parameters

TRANSFORM_UNITS = ("decomposition", "baby", "giant", "diagonal", "closing")
BABIES, GIANTS = 8, (0, 16, 33, 51, 70, 90)  # a key for each baby, and for each difference of two giants
# Outputs, inputs, babies, giants. A unit's price is what tells shapes apart, so each unit comes in few and in many.
SHAPES = (
    (1, 1, 1, 1),
    (1, 1, 2, 1),
    (1, 1, 9, 1),
    (1, 4, 4, 1),
    (1, 1, 1, 6),
    (1, 1, 5, 4),
    (4, 1, 1, 3),
    (2, 2, 9, 6),
)
FULL = (1, 1, BABIES, 4)  # of vectors of full length
ROUNDS = 5
Action = Callable[[], Any]


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
    actions: dict[tuple[int, str], Action] = {}
    with Context(parameters, threads=threads) as context, ExitStack() as kept:
        generator = KeyGenerator(context)
        secret = generator.secret_key()
        encryptor = Encryptor(context, secret)
        values = np.random.default_rng(0).uniform(-1, 1, parameters.slots)
        for level in levels:
            blob = encryptor.encrypt(values, level=level)
            keys = kept.enter_context(closing(KeySet(context)))  # of this level, with its special primes
            keys.load(generator.relinearization_key(secret, level))
            for step in (*range(1, BABIES + 1), *np.diff(GIANTS).tolist()):
                keys.load(generator.rotation_key(secret, step, level))
            evaluator, fresh = CpuEvaluator(context, keys), context.load_ciphertext(blob, level=level)
            actions[level, "input"] = partial(context.load_ciphertext, blob, level=level)
            for name, action in (_plain(evaluator, fresh) | _transforms(evaluator, fresh, kept)).items():
                actions[level, name] = action
        # Levels in turn: a program's next operation finds neither its keys nor its values in a cache.
        seconds = timed(dict(sorted(actions.items(), key=lambda each: each[0][1])), on_progress)
    tables: dict[str, tuple[list[int], list[float]]] = {}
    for level in levels:
        prices = _prices({name: spent for (at, name), spent in seconds.items() if at == level}, parameters)
        for unit, price in prices.items():
            known = tables.setdefault(unit, ([], []))
            known[0].append(level)
            known[1].append(price)
    return Primitives(machine_name(), threads, tables)


def _plain(evaluator: CpuEvaluator, x: Ciphertext) -> dict[str, Action]:
    vector = np.linspace(-1, 1, evaluator.context.parameters.slots)
    plain = evaluator.plaintext(vector, x.level, x.scale)
    return {
        "rotate": lambda: evaluator.rotate(x, 1),
        "product": lambda: evaluator.sum_of_products([(x, x)]),
        "two products": lambda: evaluator.sum_of_products([(x, x), (x, x)]),
        "rescale": lambda: evaluator.rescale(x),
        "add": lambda: evaluator.add(x, x),
        "add_plain": lambda: evaluator.add_plain(x, plain),
        "multiply_plain": lambda: evaluator.multiply_plain(x, plain),
    }


def _transforms(evaluator: CpuEvaluator, x: Ciphertext, kept: ExitStack) -> dict[str, Action]:
    """Each shape with all its diagonals; and vectors of full length, as they are and as coefficients."""
    parameters = evaluator.context.parameters
    found: dict[str, Action] = {}

    def add(name: str, plan: TransformPlan, *, compact: bool = False) -> None:
        transform = kept.enter_context(closing(evaluator.context.transform(plan, compact=compact)))
        found[name] = partial(evaluator.linear_transform, [x] * plan.n_inputs, transform)

    for shape in SHAPES:
        add(str(shape), _transform(x.level, *shape, parameters).plan)
    full = _transform(x.level, *FULL, parameters, parameters.slots).plan
    add("whole", full)
    add("compact", full, compact=True)
    return found


def _prices(seconds: dict[str, float], parameters: Parameters) -> dict[str, float]:
    """Of every unit, from what the actions of a level took."""
    prices = {unit: seconds[unit] for unit in UNITS if unit in seconds}
    prices["further_pair"] = max(0.0, seconds["two products"] - seconds["product"])
    prices[ENCODING] = max(0.0, seconds["compact"] - seconds["whole"]) / (FULL[2] * FULL[3])
    counts = [_transform(parameters.max_level, *shape, parameters).work() for shape in SHAPES]
    # Each shape counts by its relative error, or the largest would decide alone.
    weights = 1 / np.array([seconds[str(shape)] for shape in SHAPES])
    matrix = np.array([[units[unit] for unit in TRANSFORM_UNITS] for units in counts], dtype=float)
    found, _ = nnls(matrix * weights[:, None], np.ones(len(SHAPES)))
    return prices | dict(zip(TRANSFORM_UNITS, found.tolist(), strict=True))


def _transform(
    level: int, outputs: int, inputs: int, babies: int, giants: int, parameters: Parameters, period: int = 1 << 10
) -> LinearTransform:
    index = list(itertools.product(range(outputs), [0], range(giants), range(babies), range(inputs)))
    scale = parameters.scales[level]
    own = TransformPlan(
        level=level,
        n_inputs=inputs,
        n_outputs=outputs,
        babies=tuple(range(babies)),
        chains=(GIANTS[:giants],),
        index=np.array(index, dtype=np.int32),
        vectors=np.tile(np.linspace(-0.5, 0.5, period), (len(index), 1)),
        plaintext_scales=(scale,) * inputs,
        output_scale=scale**2,
        special_count=parameters.special_at(level),
    )
    outputs_at = tuple(range(inputs, inputs + outputs))
    return LinearTransform("measurement", outputs_at, level, scale**2, tuple(range(inputs)), own)


def timed(
    actions: dict[tuple[int, str], Action], on_progress: Callable[[int, int], None] | None = None
) -> dict[tuple[int, str], float]:
    """Median seconds of each after a run that does not count; in turn, so that whatever the machine does meanwhile
    meets all of them, and none finds its keys where it left them.
    """
    seconds: dict[tuple[int, str], list[float]] = {name: [] for name in actions}
    for done in range(1 + ROUNDS):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
        if on_progress:
            on_progress(done + 1, 1 + ROUNDS)
    return {name: median(found[1:]) for name, found in seconds.items()}
