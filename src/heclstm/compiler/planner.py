"""One set of evaluation keys for a whole program: the steps of all transforms, and the special primes of each level.

Each transform has many splits (`bsgs`). The price of a choice is the work of all that is done with keys, and the worth
of every key once, at the highest level where it is used. From several starts, since the first plan found is rarely the
best:

1. *Splits.* Transforms are looked at in turn, each takes its cheapest split given those of the others, until none
   changes.
2. *Folds* may turn either way, since what is folded by s repeats after 2s: x + rotate(x, s) = x + rotate(x, −s).
3. *Walks.* A giant step, fold or rotation needs no key of its own where one or two others lead there in some turns, if
   that key is worth more than these turns.
4. *Special primes.* Of each level, as many as are cheapest now that it is known which keys it has and who uses them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

import numpy as np

from heclstm.circuit.layout import Floats
from heclstm.circuit.parameters import Parameters
from heclstm.compiler.bsgs import Split
from heclstm.compiler.demands import RELINEARIZATION, Demand, Use
from heclstm.compiler.rates import DIAGONAL, TRIES, Rates

ROUNDS = 6
STARTS = (4.0, 1.0, 0.25)  # from plans that are cheapest where keys are worth as much more
MOOD = 1.0  # for more plans from the best one: keys are worth by chance e^±MOOD as much for a moment
WALK_MAX = 16  # turns in place of one


@dataclass(frozen=True)
class Planned:
    """splits, folds: of each demand, in order. walks: step → steps with keys. levels: of each key of a rotation.

    special_counts: of the parameters to be taken.
    """

    splits: list[Split]
    folds: list[tuple[int, ...]]
    walks: dict[int, tuple[int, ...]] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)
    special_counts: tuple[int, ...] = ()

    def walks_of(self, split: Split, folds: Sequence[int], slots: int) -> tuple[tuple[int, ...], ...]:
        """The walks of one plan, as its steps are written there."""
        steps = dict.fromkeys((*split.turns, *folds))
        return tuple((step, *self.walks[step % slots]) for step in steps if step % slots in self.walks)

    def walk(self, step: int) -> tuple[int, ...]:
        return self.walks.get(step, (step,))


def plan_keys(
    demands: Sequence[Demand],
    uses: Iterable[Use],
    parameters: Parameters,
    worth: float,
    tries: int = TRIES["balance"],
) -> Planned:
    """uses: of keys beside the transforms. worth: of a limb of keys, in NTTs. tries: more plans than the first ones."""
    merged = [Use(*use, count) for use, count in _merged(uses).items()]
    first = tuple(map(parameters.special_at, range(len(parameters.moduli))))
    best: _Board | None = None

    def descend(start: Sequence[Split], special: tuple[int, ...]) -> None:
        nonlocal best
        before = inf
        while True:
            board = _Board(demands, merged, parameters.slots, special, worth)
            board.choose_splits(start)
            board.choose_folds()
            board.choose_walks()
            if best is None or board.total < best.total:
                best = board
            cheaper = board.cheaper_special(parameters.special_options) if parameters.special_counts else None
            if cheaper is None or board.total >= before:
                return
            start, special, before = board.chosen, cheaper, board.total

    start: list[Split] = []
    for factor in STARTS:
        board = _Board(demands, merged, parameters.slots, first, worth * factor)
        board.choose_splits(start)
        start = board.chosen
        descend(start, first)
    assert best is not None
    random = np.random.default_rng(0)
    for _ in range(tries if parameters.security == "128" else 0):  # circuits of tests are small and many
        board = _Board(demands, merged, parameters.slots, best.special, worth)
        board.moods = random.lognormal(0.0, MOOD, parameters.slots)
        board.choose_splits(best.chosen, rounds=2)
        descend(board.chosen, best.special)
    levels = {step: level for step, level in best.levels().items() if step != RELINEARIZATION}
    counts = best.special if parameters.special_counts else ()
    return Planned(best.chosen, best.folds, best.walks, levels, counts)


def _merged(uses: Iterable[Use]) -> Counter[tuple[int, int]]:
    found = Counter[tuple[int, int]]()
    for use in uses:
        found[use.step, use.level] += use.count
    return found


@dataclass
class _Board:
    """special: how many special primes a key of each level has."""

    demands: Sequence[Demand]
    uses: Sequence[Use]
    slots: int
    special: tuple[int, ...]
    worth: float
    chosen: list[Split] = field(default_factory=list)
    folds: list[tuple[int, ...]] = field(default_factory=list)
    walks: dict[int, tuple[int, ...]] = field(default_factory=dict)
    moods: Floats | None = None
    total: float = 0.0
    _known_rates: dict[tuple[int, int], Rates] = field(default_factory=dict)

    def choose_splits(self, start: Sequence[Split], rounds: int = ROUNDS) -> None:
        self.folds = [demand.matrix.folds for demand in self.demands]
        self.chosen = list(start) or [demand.alone for demand in self.demands]
        for _ in range(rounds):
            before = list(self.chosen)
            for index, demand in enumerate(self.demands):
                others = self.levels(without=index)
                options = [self.chosen[index], *demand.cheapest(partial(self._new_key, demand.level, others))]
                self.chosen[index] = min(
                    options,
                    key=lambda split, i=index, o=others: self._added(i, split, o),  # type: ignore[misc]
                )
            if all(a is b for a, b in zip(before, self.chosen, strict=True)):
                break

    def choose_folds(self) -> None:
        price = self.price()
        for index, folds in enumerate(self.folds):
            for place, fold in enumerate(folds):
                own = self.folds[index]
                self.folds[index] = (*own[:place], -fold, *own[place + 1 :])
                if (found := self.price()) < price:
                    price = found
                else:
                    self.folds[index] = own

    def choose_walks(self) -> None:
        """Greedily, then once more without each of the steps that others are walked by."""
        self.walks = self._greedy_walks(frozenset())
        price, barred = self.price(), frozenset[int]()
        for step in sorted({part for parts in self.walks.values() for part in parts}):
            before, self.walks = self.walks, {}
            self.walks = self._greedy_walks(barred | {step})
            if (found := self.price()) < price:
                price, barred = found, barred | {step}
            else:
                self.walks = before
        self.total = price

    def _greedy_walks(self, barred: frozenset[int]) -> dict[int, tuple[int, ...]]:
        """The step whose key is worth most beside the turns that go without it, and so on. barred: serve no walk."""
        self.walks = {}
        hoisted = {
            step
            for demand, split in zip(self.demands, self.chosen, strict=True)
            for step in (*demand.parts(split).babies, *demand.parts(split).coarse)
        }
        while True:
            levels, turns = self.levels(), self._turns()
            walkers = {part for parts in self.walks.values() for part in parts}
            steps = [step for step in levels if step != RELINEARIZATION]
            ways = (
                (self._gain(step, parts, levels, turns[step]), step, parts)
                for step in steps
                if step not in hoisted and step not in walkers
                for parts in self._walks_to(step, [other for other in steps if other != step and other not in barred])
            )
            gain, step, parts = max(ways, default=(0.0, 0, ()))
            if gain <= 0:
                return self.walks
            self.walks[step] = parts

    def _turns(self) -> dict[int, list[tuple[int, int, bool]]]:
        """Step with a key → (level, how often, of whole ciphertexts) of what is turned by it, but for hoisted steps."""
        found: dict[int, list[tuple[int, int, bool]]] = defaultdict(list)
        for index, (demand, split) in enumerate(zip(self.demands, self.chosen, strict=True)):
            for step, count in (*demand.parts(split).turns, *self._folds(index)):
                for part in self.walks.get(step, (step,)):
                    found[part].append((demand.level, count * demand.matrix.outputs, False))
        for use in self.uses:
            for part in self.walks.get(use.step, (use.step,)):
                found[part].append((use.level, use.count, True))
        return found

    def _gain(
        self, step: int, parts: tuple[int, ...], levels: Mapping[int, int], turns: list[tuple[int, int, bool]]
    ) -> float:
        """What is saved by walking a step that has a key now."""
        own = levels[step]
        gain = self._key(own) - sum(self._new_key(own, levels, part) for part in set(parts))
        special = [self.special[max(levels[part], own)] for part in parts]
        for level, count, whole in turns:
            gain += count * (
                self._turn(level, self.special[own], whole) - sum(self._turn(level, each, whole) for each in special)
            )
        return gain

    def _turn(self, level: int, special: int, whole: bool) -> float:
        rates = self._rates(level, special)
        return rates.rotation if whole else rates.giant

    def cheaper_special(self, options: Callable[[int], Iterable[int]]) -> tuple[int, ...] | None:
        """Special primes of each level that are cheaper for what is chosen; None if there are none."""
        before, price = self.special, self.price()
        for level in sorted(set(self.levels().values()), reverse=True):
            for count in options(level):
                own = self.special
                self.special = (*own[:level], count, *own[level + 1 :])
                if (found := self.price()) < price:
                    price = found
                else:
                    self.special = own
        cheaper, self.special = self.special, before
        return None if cheaper == before else cheaper

    def price(self) -> float:
        levels = self.levels()
        total = sum(map(self._key, levels.values()))
        total += sum(self._work(index, split, levels) for index, split in enumerate(self.chosen))
        return total + sum(self._use(use, levels) for use in self.uses)

    def levels(self, without: int | None = None) -> dict[int, int]:
        """Step → the highest level where its key is used."""
        found: dict[int, int] = {}
        for use in self.uses:
            for step in self.walks.get(use.step, (use.step,)):
                found[step] = max(found.get(step, 0), use.level)
        for index, (demand, split) in enumerate(zip(self.demands, self.chosen, strict=True)):
            if index != without:
                for step in self._steps(index, split):
                    found[step] = max(found.get(step, 0), demand.level)
        return found

    def _steps(self, index: int, split: Split) -> set[int]:
        parts = self.demands[index].parts(split)
        found = {*parts.babies, *parts.coarse}
        for step, _ in (*parts.turns, *self._folds(index)):
            found.update(self.walks.get(step, (step,)))
        return found

    def _folds(self, index: int) -> Iterator[tuple[int, int]]:
        return ((fold % self.slots, 1) for fold in self.folds[index] if fold % self.slots)

    def _new_key(self, level: int, others: Mapping[int, int], step: int) -> float:
        """What a key of this level is worth beside those of the others."""
        before = others.get(step)
        new = self._key(level if before is None else max(before, level)) - (
            0.0 if before is None else self._key(before)
        )
        return new if self.moods is None else new * float(self.moods[step])

    def _added(self, index: int, split: Split, others: Mapping[int, int]) -> float:
        """The work of a split, and what its keys are worth beside those of the others."""
        own, steps = self.demands[index].level, self._steps(index, split)
        levels = {step: max(others.get(step, own), own) for step in steps}
        cost = sum(self._new_key(own, others, step) for step in steps)
        return cost + self._work(index, split, levels)

    def _work(self, index: int, split: Split, levels: Mapping[int, int]) -> float:
        """levels: of the keys. A key of a higher level may have other special primes, and an input one more
        decomposition for it; diagonals and sums have as many as the baby that has the most.
        """
        demand = self.demands[index]
        matrix, parts = demand.matrix, demand.parts(split)
        babies: dict[int, int] = {}
        for step in parts.babies:
            special = self.special[levels[step]]
            babies[special] = babies.get(special, 0) + 1
        closing = max(babies, default=0)
        diagonal = self._rates(demand.level, closing).diagonal if babies else DIAGONAL * (demand.level + 1)
        cost = diagonal * len(matrix.vectors)
        for special, count in babies.items():
            rates = self._rates(demand.level, special)
            cost += (rates.decomposition + rates.baby * count) * matrix.inputs * len(split.coarse)
        for step in parts.coarse:
            cost += self._rates(demand.level, self.special[levels[step]]).rotation * matrix.inputs
        for step, count in (*parts.turns, *self._folds(index)):
            for part in self.walks.get(step, (step,)):
                special = self.special[levels[part]]
                closing = max(closing, special)
                cost += self._rates(demand.level, special).giant * count * matrix.outputs
        return cost + (self._rates(demand.level, closing).closing * matrix.outputs if closing else 0.0)

    def _use(self, use: Use, levels: Mapping[int, int]) -> float:
        if use.step == RELINEARIZATION:
            rates = self._rates(use.level, self.special[levels[use.step]])
            return (rates.decomposition + rates.baby + rates.closing) * use.count
        parts = self.walks.get(use.step, (use.step,))
        return sum(self._turn(use.level, self.special[levels[part]], True) for part in parts) * use.count

    def _rates(self, level: int, special: int) -> Rates:
        if (level, special) not in self._known_rates:
            self._known_rates[level, special] = Rates.at(level, special, self.worth)
        return self._known_rates[level, special]

    def _key(self, level: int) -> float:
        return self._rates(level, self.special[level]).key

    def _walks_to(self, step: int, others: list[int]) -> list[tuple[int, ...]]:
        """By one key several times, or by two, one of them once."""
        found = []
        for other in others:
            for times in range(1, WALK_MAX + 1):
                rest = (step - times * other) % self.slots
                if rest == 0 and times > 1:
                    found.append((other,) * times)
                elif rest in others and rest != other and times < WALK_MAX:
                    found.append((*(other,) * times, rest))
                if rest == 0:
                    break
        return found
