"""The evaluator that makes a program ready: which transforms are held whole, and what of them was kept on disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from heclstm.backend.cpu.context import Arithmetic, Context
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.stored import Stored, identity_of
from heclstm.backend.cpu.values import Transform
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import LinearTransform, TransformPlan
from heclstm.errors import FileFormatError


class PreparingEvaluator(CpuEvaluator):
    """Prepares the transforms of one circuit, in their order. whole: which, by their place among the operations."""

    def __init__(self, context: Context, whole: list[bool], identity: bytes, cache: Stored | None) -> None:
        super().__init__(context)
        self._whole, self._identity, self._cache = whole, identity, cache
        self._file = cache.open(context, identity) if cache else None
        self._foreign = False
        self._made: list[tuple[TransformPlan, Transform]] = []

    def transform(self, plan: TransformPlan) -> Transform:
        made = self._transform(plan, len(self._made))
        self._made.append((plan, made))
        return made

    def _transform(self, plan: TransformPlan, place: int) -> Transform:
        compact = not self._whole[place]
        if self._file:
            try:
                return self.context.transform(plan, compact=compact, held=(self._file, place))
            except FileFormatError:
                self._file, self._foreign = None, True  # it holds others, whatever its name says
        return self.context.transform(plan, compact=compact)

    def keep(self) -> int:
        """Write what was made, and use it from there: its pages are shared with other processes then. Returns bytes."""
        made, self._made = self._made, []
        if self._cache and not self._file:
            with self._cache.turn():
                if not self._foreign:  # another process may have been faster
                    self._file = self._cache.open(self.context, self._identity)
                if not self._file and self._cache.write(self.context, self._identity, [each for _, each in made]):
                    self._file = self._cache.open(self.context, self._identity)
            for place, (plan, transform) in enumerate(made if self._file else ()):
                transform.become(self._transform(plan, place))
        if not self._file:
            return 0
        self._file.close()  # which the transforms hold open
        self._file = None
        return sum(transform.bytes_in_memory for _, transform in made)


def preparing(
    circuit: Circuit, whole: frozenset[int], cache: Stored | None, threads: int | None, arithmetic: Arithmetic
) -> PreparingEvaluator:
    """On a context of its own. whole: see `estimate`."""
    transforms = [(n, op.plan) for n, op in enumerate(circuit.operations) if isinstance(op, LinearTransform)]
    held, plans = [n in whole for n, _ in transforms], [plan for _, plan in transforms]
    with ThreadPoolExecutor(1) as pool:  # the digest of a large program takes as long as a context
        identity = pool.submit(identity_of, plans if cache else [], held, circuit.parameters)
        context = Context(circuit.parameters, threads=threads, arithmetic=arithmetic)
        return PreparingEvaluator(context, held, identity.result(), cache)
