"""One set of rotation keys for a whole program: baby steps, giant steps and folds of all transforms chosen together.

Each transform has many splits (`bsgs`). The price of a choice is the work of all transforms, and the worth of every key
once, at the highest level where it is used. Transforms are looked at in turn, each takes its cheapest split given those
of the others, until none changes; from several starts, since the first plan found is rarely the best. Then every giant
step and fold is tried without a key of its own: it is walked by one or two keys that there are, if that is worth more
than the turns it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat

from heclstm.circuit.parameters import Parameters
from heclstm.compiler.bsgs import Split, splits, work
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.rates import Rates

KEPT = 48  # of the splits of a transform, the cheapest by themselves
ROUNDS = 6
STARTS = (4.0, 1.0, 0.25)  # from plans that are cheapest where keys are worth as much more
WALK_MAX = 8  # turns in place of one


@dataclass(frozen=True, eq=False)
class Demand:
    """A transform to be planned. level: at which it works."""

    matrix: DiagonalMatrix
    level: int
    rates: Rates
    slots: int

    @cached_property
    def splits(self) -> list[Split]:
        def cost(split: Split) -> float:
            return work(self.matrix, split, self.rates) + self.rates.key * len(split.rotation_steps)

        return sorted(splits(self.matrix, self.slots), key=cost)[:KEPT]


@dataclass(frozen=True)
class Planned:
    """splits: of each demand, in order. walks: step → steps with keys. levels: of each key."""

    splits: list[Split]
    walks: dict[int, tuple[int, ...]] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)

    def walks_of(self, split: Split, folds: Sequence[int], slots: int) -> tuple[tuple[int, ...], ...]:
        """The walks of one plan, as its steps are written there."""
        steps = dict.fromkeys((*split.turns, *folds))
        return tuple((step, *self.walks[step % slots]) for step in steps if step % slots in self.walks)


def plan_keys(demands: Sequence[Demand], rotations: Mapping[int, int], parameters: Parameters, worth: float) -> Planned:
    """rotations: step → level of the keys that are needed anyhow. worth: of a limb of keys, in NTTs."""
    best: tuple[float, _Board] | None = None
    start: list[Split] = []
    for factor in STARTS:
        board = _Board(demands, dict(rotations), parameters, worth * factor)
        board.choose_splits(start)
        start = board.chosen
        board = _Board(demands, dict(rotations), parameters, worth)
        board.choose_splits(start)
        board.choose_walks()
        price = board.price()
        if best is None or price < best[0]:
            best = price, board
    assert best is not None
    found = best[1]
    return Planned(found.chosen, found.walks, found.levels())


@dataclass
class _Board:
    demands: Sequence[Demand]
    rotations: dict[int, int]
    parameters: Parameters
    worth: float
    chosen: list[Split] = field(default_factory=list)
    walks: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _known_rates: dict[tuple[int, int], Rates] = field(default_factory=dict)

    def choose_splits(self, start: Sequence[Split]) -> None:
        self.chosen = list(start) or [demand.splits[0] for demand in self.demands]
        for _ in range(ROUNDS):
            before = list(self.chosen)
            for index, demand in enumerate(self.demands):
                others = self.levels(without=index)
                options = [self.chosen[index], *demand.splits]
                self.chosen[index] = min(
                    options,
                    key=lambda split, d=demand, o=others: self._added(d, split, o),  # type: ignore[misc]
                )
            if all(a is b for a, b in zip(before, self.chosen, strict=True)):
                break

    def choose_walks(self) -> None:
        """Greedily: the step whose key is worth most beside the turns that go without it."""
        while True:
            price = self.price()
            best: tuple[float, int, tuple[int, ...]] | None = None
            hoisted = set(self.rotations) | {
                step % self.parameters.slots for split in self.chosen for step in split.hoisted
            }
            walkers = {part for parts in self.walks.values() for part in parts}
            levels = self.levels()
            for step in levels:
                if step in hoisted or step in walkers:
                    continue
                for parts in self._walks_to(step, [other for other in levels if other != step]):
                    self.walks[step] = parts
                    gain = price - self.price()
                    del self.walks[step]
                    if gain > 0 and (best is None or gain > best[0]):
                        best = gain, step, parts
            if best is None:
                return
            self.walks[best[1]] = best[2]

    def price(self) -> float:
        levels = self.levels()
        total = sum(map(self._key, levels.values()))
        return total + sum(map(self._work, self.demands, self.chosen, repeat(levels)))

    def levels(self, without: int | None = None) -> dict[int, int]:
        """Step → the highest level where its key is used."""
        found = dict(self.rotations)
        for index, (demand, split) in enumerate(zip(self.demands, self.chosen, strict=True)):
            if index != without:
                for step in self._steps(demand, split):
                    found[step] = max(found.get(step, 0), demand.level)
        return found

    def _steps(self, demand: Demand, split: Split) -> set[int]:
        slots = self.parameters.slots
        steps = {step % slots for step in split.hoisted}
        for step in (*split.turns, *demand.matrix.folds):
            steps |= set(self.walks.get(step % slots, (step % slots,)))
        return steps - {0}

    def _added(self, demand: Demand, split: Split, others: Mapping[int, int]) -> float:
        """The work of a split, and what its keys are worth beside those of the others."""
        levels, cost = {}, 0.0
        for step in self._steps(demand, split):
            before = others.get(step)
            levels[step] = demand.level if before is None else max(before, demand.level)
            cost += self._key(levels[step]) - (0.0 if before is None else self._key(before))
        return cost + self._work(demand, split, levels)

    def _work(self, demand: Demand, split: Split, levels: Mapping[int, int]) -> float:
        """levels: of the keys. A key of a higher level may have other special primes, and an input one more
        decomposition for it; diagonals and sums have as many as the baby that has the most.
        """
        matrix, slots = demand.matrix, self.parameters.slots
        babies = Counter(self.parameters.special_at(levels[b % slots]) for b in split.babies if b % slots)
        cost = self._rates(demand.level, max(babies, default=1)).diagonal * len(matrix.vectors) if babies else 0.0
        for special, count in babies.items():
            rates = self._rates(demand.level, special)
            cost += (rates.decomposition + rates.baby * count) * matrix.inputs * len(split.coarse)
        for step in (turn % slots for _, turn in split.turned_from if turn % slots):
            rates = self._rates(demand.level, self.parameters.special_at(levels[step]))
            cost += rates.rotation * matrix.inputs
        for step, count in (split.turns + Counter(matrix.folds)).items():
            for part in self.walks.get(step % slots, (step % slots,) if step % slots else ()):
                rates = self._rates(demand.level, self.parameters.special_at(levels[part]))
                cost += rates.giant * count * matrix.outputs
        return cost

    def _rates(self, level: int, special: int) -> Rates:
        if (level, special) not in self._known_rates:
            self._known_rates[level, special] = Rates.at(level, special, self.worth)
        return self._known_rates[level, special]

    def _key(self, level: int) -> float:
        return self._rates(level, self.parameters.special_at(level)).key

    def _walks_to(self, step: int, others: list[int]) -> list[tuple[int, ...]]:
        """By one key several times, or by two, one of them once."""
        slots = self.parameters.slots
        found = []
        for other in others:
            for times in range(1, WALK_MAX + 1):
                rest = (step - times * other) % slots
                if rest == 0 and times > 1:
                    found.append((other,) * times)
                elif rest in others and rest != other and times < WALK_MAX:
                    found.append((*(other,) * times, rest))
                if rest == 0:
                    break
        return found
