"""What every backend must do with a ciphertext, each as a function of a kit and what NumPy says to it.

A law is made for parameters and a generator of random numbers, so that all backends and the prediction see the same
numbers. It uses each ciphertext as the compiler does: no level and no scale is put right behind its back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine_kit import LEVEL, small_parameters
from heclstm.circuit.operations import TransformPlan

# One digit, whose noise the special primes divide away; five digits of the size of P, whose noise shows; and keys with
# four special primes at high levels and six at low ones.
SIX = small_parameters("conjugate_invariant", special_count=6)
RINGS = {
    "conjugate-invariant": small_parameters("conjugate_invariant"),
    "standard": small_parameters("standard", special_count=2),
    "special primes by level": replace(SIX, special_counts=(6,) * (LEVEL + 1) + (4,) * (SIX.max_level - LEVEL)),
}


@dataclass(frozen=True)
class Law:
    """run(kit) → a value of this level and scale, whose slots are `expected` but for noise.

    neighbours: how many slots share an error, by folds.
    """

    run: Callable[[Any], Any]
    expected: np.ndarray
    level: int
    scale: float
    neighbours: int = 1


LAWS = {}


def law(name):
    def register(make):
        assert name not in LAWS
        LAWS[name] = make
        return make

    return register


def vectors(parameters, random, count):
    return random.uniform(-1, 1, (count, parameters.slots))


def unary(operate, expect, level=LEVEL):
    """A law of one ciphertext that keeps level and scale. expect(x) → slots."""

    def make(p, random):
        (x,) = vectors(p, random, 1)
        return Law(lambda kit: operate(kit.evaluator, kit.encrypt(x, level)), expect(x), level, p.scales[level])

    return make


for fresh_level in (1, 3, 9):
    law(f"encryption at level {fresh_level}")(unary(lambda ev, a: a, lambda x: x, fresh_level))

for step in (0, 1, 3, -1, 100):
    law(f"rotation by {step}")(unary(lambda ev, a, s=step: ev.rotate(a, s), lambda x, s=step: np.roll(x, -s)))

for key_level in (1, 2, 4, 7, 9):
    law(f"rotation at level {key_level}")(unary(lambda ev, a: ev.rotate(a, 3), lambda x: np.roll(x, -3), key_level))

law("rotations compose")(unary(lambda ev, a: ev.rotate(ev.rotate(a, 1), 2), lambda x: np.roll(x, -3)))


@law("rotations wrap around")
def _(p, random):
    (x,) = vectors(p, random, 1)

    def run(kit):
        once = kit.evaluator.rotate(kit.encrypt(x, LEVEL), p.slots + 1)
        return kit.evaluator.rotate(once, p.slots - 2)

    return Law(run, np.roll(x, 1), LEVEL, p.scales[LEVEL])


@law("a short vector is repeated")
def _(p, random):
    x = random.uniform(-1, 1, 4)
    return Law(lambda kit: kit.encrypt(x, LEVEL), np.tile(x, p.slots // 4), LEVEL, p.scales[LEVEL])


@law("addition")
def _(p, random):
    x, y = vectors(p, random, 2)
    return Law(
        lambda kit: kit.evaluator.add(kit.encrypt(x, LEVEL), kit.encrypt(y, LEVEL)), x + y, LEVEL, p.scales[LEVEL]
    )


@law("addition to itself")
def _(p, random):
    (x,) = vectors(p, random, 1)

    def run(kit):
        a = kit.encrypt(x, LEVEL)
        return kit.evaluator.add(a, a)

    return Law(run, 2 * x, LEVEL, p.scales[LEVEL])


def plain_laws(period):
    @law(f"addition of a plaintext of period {period}")
    def _(p, random):
        (x,), y = vectors(p, random, 1), random.uniform(-1, 1, period)

        def run(kit):
            a = kit.encrypt(x, LEVEL)
            return kit.evaluator.add_plain(a, kit.evaluator.plaintext(y, LEVEL, a.scale))

        return Law(run, x + np.tile(y, p.slots // period), LEVEL, p.scales[LEVEL])

    @law(f"product with a plaintext of period {period}")
    def _(p, random):
        (x,), y = vectors(p, random, 1), random.uniform(-1, 1, period)

        def run(kit):
            return kit.evaluator.multiply_plain(
                kit.encrypt(x, LEVEL), kit.evaluator.plaintext(y, LEVEL, p.scales[LEVEL])
            )

        return Law(run, x * np.tile(y, p.slots // period), LEVEL, p.scales[LEVEL] ** 2)


for plain_period in (1, 2, 8, 32, 256, 512):
    plain_laws(plain_period)


def product_law(pairs):
    @law(f"sum of {pairs} products")
    def _(p, random):
        xs, ys = vectors(p, random, pairs), vectors(p, random, pairs)

        def run(kit):
            return kit.evaluator.sum_of_products(
                [(kit.encrypt(x), kit.encrypt(y)) for x, y in zip(xs, ys, strict=True)]
            )

        return Law(run, (xs * ys).sum(axis=0), p.max_level, p.scales[p.max_level] ** 2)


for pair_count in (1, 2, 9, 33):
    product_law(pair_count)


def rescaled_product_law(level):
    @law(f"product at level {level}, rescaled")
    def _(p, random):
        x, y = vectors(p, random, 2)

        def run(kit):
            return kit.evaluator.rescale(
                kit.evaluator.sum_of_products([(kit.encrypt(x, level), kit.encrypt(y, level))])
            )

        return Law(run, x * y, level - 1, p.scales[level - 1])


for product_level in (2, 3, 6, 9):
    rescaled_product_law(product_level)


@law("dropped levels")
def _(p, random):
    (x,) = vectors(p, random, 1)
    return Law(lambda kit: kit.evaluator.drop_level(kit.encrypt(x), 2), x, 2, p.scales[p.max_level])


@law("squarings down the whole ladder")
def _(p, random):
    """Plain rescaling doubles the scale's deviation at each product; the ladder does not let it grow at all."""
    x = random.choice([-1.0, 1.0], p.slots)

    def run(kit):
        a = kit.encrypt(x)
        for level in range(p.max_level - 1, 0, -1):
            a = kit.evaluator.rescale(kit.evaluator.sum_of_products([(a, a)]))
            assert (a.level, a.scale) == (level, p.scales[level])
        return a

    return Law(run, np.ones(p.slots), 1, p.scales[1])


# linear transforms


def make_plan(
    parameters,
    random,
    rows,
    babies=(0,),
    chains=((0,),),
    n_inputs=1,
    n_outputs=1,
    period=None,
    folds=(),
    level=LEVEL,
    **later,
):
    """A plan with random vectors for rows of (output, chain, position, baby, input)."""
    prime, scales = parameters.moduli[level], parameters.scales
    plaintext_scale = scales[level - 1] * prime / scales[level]  # so that the rescale lands on the next scale
    plan_vectors = random.uniform(-1, 1, (len(rows), period or parameters.slots))
    index = np.array(rows, dtype=np.int32)
    plaintext_scales, output_scale = (plaintext_scale,) * n_inputs, plaintext_scale * scales[level]
    return TransformPlan(
        level, n_inputs, n_outputs, babies, chains, index, plan_vectors, plaintext_scales, output_scale, folds, **later
    )


def transformed(plan, inputs):
    """The sum that defines a plan."""
    outputs = np.zeros((plan.n_outputs, len(inputs[0])))
    for (output, chain, position, baby, j), vector in zip(plan.index, plan.vectors, strict=True):
        full = np.tile(vector, len(inputs[j]) // len(vector))
        inner = full * np.roll(inputs[j], -plan.babies[baby])
        outputs[output] += np.roll(inner, -plan.chains[chain][position])
    for fold in plan.folds:
        outputs = outputs + np.roll(outputs, -fold, axis=1)
    return outputs


def transform_law(p, random, plan, output=0, inputs=None):
    """The law of one output of a plan, rescaled."""
    inputs = vectors(p, random, plan.n_inputs) if inputs is None else inputs

    def run(kit):
        ev = kit.evaluator
        results = ev.linear_transform([kit.encrypt(x, plan.level) for x in inputs], ev.transform(plan))
        assert len(results) == plan.n_outputs
        assert {(result.level, result.scale) for result in results} == {(plan.level, plan.output_scale)}
        return ev.rescale(results[output])

    expected = transformed(plan, inputs)[output]
    return Law(run, expected, plan.level - 1, p.scales[plan.level - 1], neighbours=2 ** len(plan.folds))


@law("transform: a dense product by baby and giant steps")
def _(p, random):
    """A 16 × 16 matrix on 16 periodic slots, as 4 baby and 4 giant steps."""
    matrix, x, size = random.uniform(-1, 1, (16, 16)), random.uniform(-1, 1, 16), 16
    diagonals = [np.array([matrix[i, (i + k) % size] for i in range(size)]) for k in range(size)]
    rows = [(0, 0, k // 4, k % 4, 0) for k in range(16)]
    plan = make_plan(p, random, rows, (0, 1, 2, 3), ((0, 4, 8, 12),), period=16)
    for k in range(16):
        plan.vectors[k] = np.roll(diagonals[k], k // 4 * 4)
    found = transform_law(p, random, plan, inputs=[np.tile(x, p.slots // 16)])
    assert np.allclose(found.expected, np.tile(matrix @ x, p.slots // 16))
    return found


def period_law(period):
    @law(f"transform: period {period}")
    def _(p, random):
        rows = [(0, 0, k, b, 0) for k in range(2) for b in range(3)]
        return transform_law(p, random, make_plan(p, random, rows, (0, 1, 5), ((0, 7),), period=period))


for plan_period in (1, 2, 4, 8, 16, 64, 128, 512):
    period_law(plan_period)


@law("transform: no rotation")
def _(p, random):
    rows = [(0, 0, 0, 0, 0), (1, 0, 0, 0, 1), (0, 0, 0, 0, 1)]
    return transform_law(p, random, make_plan(p, random, rows, n_inputs=2, n_outputs=2))


@law("transform: holes, heads, repeated steps")
def _(p, random):
    chains = ((3, 5, 9), (0, 0, 2), (4,), (-2, 1))
    rows = [(0, 0, 2, 0, 0), (0, 0, 0, 1, 0), (0, 1, 1, 0, 0), (1, 1, 2, 1, 0), (0, 2, 0, 0, 0), (1, 3, 1, 1, 0)]
    return transform_law(p, random, make_plan(p, random, rows, (0, 1), chains, n_outputs=2))


@law("transform: folds")
def _(p, random):
    rows = [(0, 0, k, b, 0) for k in range(2) for b in range(3)]
    return transform_law(p, random, make_plan(p, random, rows, (0, 1, 2), ((0, 8),), folds=(1, 2, 4)))


@law("transform: steps that are walked")
def _(p, random):
    rows = [(0, 0, k, b, 0) for k in range(3) for b in range(2)]
    walks = ((12, 5, 5, 2), (40, 19, 2, 19), (7, 8, -1))
    chains = ((7, 19, 31), (0, 7))
    rows += [(0, 1, 1, 0, 0)]
    return transform_law(p, random, make_plan(p, random, rows, (0, 1), chains, folds=(40, 4), walks=walks))


@law("transform: chains nested in a chain")
def _(p, random):
    rows = [(o, c, k, b, 0) for o in range(2) for c in range(1, 4) for k in range(2) for b in range(2) if c + o < 4]
    chains = ((2, 3), (4, 7), (20, 21), (20, 22))
    plan = make_plan(p, random, rows, (0, 1), chains, n_outputs=2, nested=True)
    assert plan.giant_steps == [1, 2, 3, 2, 1, 16, 2]
    return transform_law(p, random, plan)


@law("transform: nested and walked, no baby steps")
def _(p, random):
    chains, walks = ((0, 4), (16, 20), (32, 36)), ((16, 4, 4, 4, 4), (4, 2, 2))
    rows = [(0, c, k, 0, j) for c in range(3) for k in range(2) for j in range(2)]
    return transform_law(p, random, make_plan(p, random, rows, chains=chains, n_inputs=2, nested=True, walks=walks))


def random_transform_law(seed):
    @law(f"transform: random plan {seed}")
    def _(p, random):
        n_inputs, n_outputs, n_babies = random.integers(1, 5, 3)
        babies = tuple(int(b) for b in random.integers(0, 8, n_babies))
        chains = tuple(
            tuple(int(step) for step in np.cumsum(random.integers(0, 5, random.integers(1, 5))))
            for _ in range(random.integers(1, 4))
        )
        rows = []
        for _ in range(random.integers(1, 80)):
            chain = random.integers(len(chains))
            position = random.integers(len(chains[chain]))
            rows.append(
                (random.integers(n_outputs), chain, position, random.integers(n_babies), random.integers(n_inputs))
            )
        period = 1 << random.integers(0, 10)
        plan = make_plan(p, random, rows, babies, chains, int(n_inputs), int(n_outputs), period)
        return transform_law(p, random, plan, output=int(rows[0][0]))


for plan_seed in range(12):
    random_transform_law(plan_seed)
