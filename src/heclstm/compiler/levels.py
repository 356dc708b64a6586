"""Expressions → operations: every level and scale written down, rescales and drops put in.

Levels are given from the end: a value gets the lowest level that its consumers allow, so that work beside the
critical path runs where it is cheap. The scale is a function of the level (`circuit.parameters`): linear maps and
plaintext products choose the plaintext's scale so that the rescale lands on it exactly; a value that comes down
beside them is multiplied by one for the same end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from heclstm.circuit.layout import Floats
from heclstm.circuit.operations import (
    Add,
    AddPlain,
    DropLevel,
    Input,
    LinearTransform,
    MultiplyPlain,
    Operation,
    Rescale,
    Rotate,
    SumOfProducts,
)
from heclstm.circuit.parameters import LEVEL_MIN, Parameters
from heclstm.compiler.bsgs import Split, plan
from heclstm.compiler.demands import RELINEARIZATION, Demand, Use
from heclstm.compiler.expressions import Expression, Linear, Products, Rotation, Source, Sum, Trace
from heclstm.compiler.planner import Planned, plan_keys
from heclstm.compiler.rates import TRIES, WORTH, Rates
from heclstm.errors import LevelError

ONE = np.ones(1)


def shortest_period(vectors: Floats) -> Floats:
    """(…, power of two) → its shortest repeating part along the last axis: less to store and to encode."""
    half = vectors.shape[-1] // 2
    while half and np.array_equal(vectors[..., :half], vectors[..., half:]):
        vectors, half = vectors[..., :half], half // 2
    return vectors


def required_levels(trace: Trace, output: int) -> dict[int, int]:
    """The lowest level at which each value may be defined, if the output ends at the base level."""
    needed = {output: LEVEL_MIN}
    for expression in reversed(trace.expressions):
        own = max((needed[value] for value in expression.outputs if value in needed), default=None)
        if own is None:
            continue
        for value in expression.reads:
            needed[value] = max(needed.get(value, LEVEL_MIN), own + expression.levels)
    return needed


def depth_of(trace: Trace, output: int) -> int:
    """Levels between the fresh ciphertexts and the result."""
    return max(required_levels(trace, output).values()) - LEVEL_MIN


def manage_levels(
    trace: Trace,
    output: int,
    parameters: Parameters,
    worth: float = WORTH["balance"],
    tries: int = TRIES["balance"],
) -> tuple[list[Operation], int, Parameters]:
    """The operations of the circuit, the value that is its result, and the parameters with the special primes of each
    level that its keys are cheapest with. worth: of a limb of keys, in NTTs. tries: more plans than the first ones.
    """
    writer = _Writer(trace.slots, parameters, required_levels(trace, output))
    if max(writer.needed.values()) > parameters.max_level:
        raise LevelError(
            f"circuit: needs {max(writer.needed.values())} levels but its parameters have {parameters.max_level}; "
            "shorten the sequence, lower the gate degree, or choose larger parameters"
        )
    written = [item for item in trace.expressions if any(value in writer.needed for value in item.outputs)]
    writer.plan(written, worth, tries)
    for expression in written:
        writer.write(expression)
    return writer.operations, writer.at(output, LEVEL_MIN), writer.parameters


@dataclass
class _Writer:
    slots: int
    parameters: Parameters
    needed: dict[int, int]
    operations: list[Operation] = field(default_factory=list)
    defined: dict[int, tuple[int, int]] = field(default_factory=dict)  # traced value → (operand, level)
    aligned: dict[tuple[int, int], int] = field(default_factory=dict)  # (traced value, level) → operand
    dropped: dict[tuple[int, int], int] = field(default_factory=dict)
    planned: Planned = field(default_factory=lambda: Planned([], []))
    # By the first output of an expression: its split and its folds.
    splits: dict[int, tuple[Split, tuple[int, ...]]] = field(default_factory=dict)
    count: int = 0
    layer: str = ""

    def plan(self, expressions: list[Expression], worth: float, tries: int) -> None:
        """Choose the steps of all transforms, and the special primes of their keys, together."""
        linear = [expression for expression in expressions if isinstance(expression, Linear)]
        uses = []
        for expression in expressions:
            if isinstance(expression, Rotation):
                uses.append(Use(expression.step % self.slots, self._level(expression)))
            elif isinstance(expression, Products) and expression.pairs:
                uses.append(Use(RELINEARIZATION, self._level(expression) + 1))
        demands = []
        for expression in linear:
            level = self._level(expression) + 1
            rates = Rates.at(level, self.parameters.special_at(level), worth)
            demands.append(Demand(expression.matrix, level, rates, self.slots))
        self.planned = plan_keys(demands, uses, self.parameters, worth, tries)
        chosen = zip(linear, self.planned.splits, self.planned.folds, strict=True)
        self.splits = {expression.outputs[0]: (split, folds) for expression, split, folds in chosen}
        if self.planned.special_counts:
            self.parameters = self.parameters.with_special(self.planned.special_counts)

    def _level(self, expression: Expression) -> int:
        return max(self.needed[value] for value in expression.outputs if value in self.needed)

    def write(self, expression: Expression) -> None:
        self.layer = expression.layer
        level = self._level(expression)
        match expression:
            case Source():
                level = max(self.needed.values())
                results = [self._new(Input, level, self.scale(level))]
            case Linear():
                results = self._linear(expression, level)
            case Products():
                results = [self._products(expression, level)]
            case Rotation():
                value = self.at(expression.input, level)
                for step in self.planned.walk(expression.step % self.slots):
                    value = self._new(Rotate, level, self.scale(level), input=value, step=step)
                results = [value]
            case Sum():
                results = [self._sum(expression, level)]
            case _:
                raise TypeError(f"{type(expression).__name__} is no expression")
        for value, operand in zip(expression.outputs, results, strict=True):
            self.defined[value] = operand, level

    def scale(self, level: int) -> float:
        return self.parameters.scales[level]

    def at(self, value: int, level: int) -> int:
        """The value at `level` and at that level's scale."""
        operand, own = self.defined[value]
        if own == level:
            return operand
        if (value, level) not in self.aligned:
            above = level + 1
            source, scale = self._down(value, above)
            product = self._times(source, ONE, above, scale)
            self.aligned[value, level] = self._rescale(product, above)
        return self.aligned[value, level]

    def _down(self, value: int, level: int) -> tuple[int, float]:
        """The value at `level`, at whatever scale it was defined with."""
        operand, own = self.defined[value]
        scale = self.scale(own)
        if own == level:
            return operand, scale
        if (value, level) not in self.dropped:
            self.dropped[value, level] = self._new(DropLevel, level, scale, input=operand)
        return self.dropped[value, level], scale

    def _linear(self, expression: Linear, level: int) -> list[int]:
        above = level + 1
        sources = [self._down(value, above) for value in expression.inputs]
        split, folds = self.splits[expression.outputs[0]]
        target = self._before_rescale(above)
        transform = plan(
            expression.matrix,
            split,
            level=above,
            plaintext_scales=tuple(target / scale for _, scale in sources for _ in split.coarse),
            output_scale=target,
            folds=folds,
            walks=self.planned.walks_of(split, folds, self.slots),
            special_count=self._special_count(split, above),
        )
        inputs = tuple(turned for operand, scale in sources for turned in self._coarse(operand, split, above, scale))
        outputs = self._fresh(expression.matrix.outputs)
        self.operations.append(LinearTransform(self.layer, outputs, above, target, inputs, transform))
        return [self._rescale(value, above) for value in outputs]

    def _coarse(self, operand: int, split: Split, level: int, scale: float) -> list[int]:
        """An input turned by every coarse step."""
        turned = [operand]
        for source, turn in split.turned_from:
            step, value = turn % self.slots, turned[source]
            turned.append(self._new(Rotate, level, scale, input=value, step=step) if step else value)
        return turned

    def _special_count(self, split: Split, level: int) -> int:
        """The most special primes that a key of its babies has; 0 where all keys have all of them."""
        if not self.parameters.special_counts:
            return 0
        levels = (self.planned.levels[baby % self.slots] for baby in split.babies if baby % self.slots)
        return max(map(self.parameters.special_at, levels), default=self.parameters.special_at(level))

    def _products(self, expression: Products, level: int) -> int:
        above = level + 1
        target = self._before_rescale(above)
        total: int | None = None
        if expression.pairs:
            pairs = tuple((self.at(a, above), self.at(b, above)) for a, b in expression.pairs)
            total = self._new(SumOfProducts, above, target, pairs=pairs)
        for value, vector in expression.plains:
            operand, scale = self._down(value, above)
            product = self._times(operand, vector, above, scale)
            total = product if total is None else self._new(Add, above, target, left=total, right=product)
        if total is None:
            raise LevelError(f"{self.layer}: a sum of no products")
        return self._rescale(total, above)

    def _sum(self, expression: Sum, level: int) -> int:
        first, *rest = (self.at(value, level) for value in expression.terms)
        for other in rest:
            first = self._new(Add, level, self.scale(level), left=first, right=other)
        if expression.constant is not None:
            vector = shortest_period(expression.constant)
            first = self._new(AddPlain, level, self.scale(level), input=first, vector=vector)
        return first

    def _before_rescale(self, level: int) -> float:
        """The scale that the rescale at `level` turns into the scale of level − 1."""
        return self.scale(level - 1) * self.parameters.moduli[level]

    def _times(self, operand: int, vector: Floats, level: int, scale: float) -> int:
        target = self._before_rescale(level)
        vector = shortest_period(vector)
        return self._new(MultiplyPlain, level, target, input=operand, vector=vector, plaintext_scale=target / scale)

    def _rescale(self, operand: int, level: int) -> int:
        return self._new(Rescale, level - 1, self.scale(level - 1), input=operand)

    def _fresh(self, number: int) -> tuple[int, ...]:
        self.count += number
        return tuple(range(self.count - number, self.count))

    def _new(self, kind: type[Operation], level: int, scale: float, **fields: object) -> int:
        (value,) = self._fresh(1)
        self.operations.append(kind(self.layer, (value,), level, scale, **fields))
        return value
