"""Σ diagonals: a block matrix applied to ciphertexts, by baby steps and giant steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from heclstm.circuit.layout import Floats
from heclstm.circuit.operations.base import Operation, check_vector
from heclstm.circuit.operations.evaluator import Evaluator, Value
from heclstm.circuit.operations.fields import LATER
from heclstm.circuit.parameters import Parameters
from heclstm.errors import LayoutError, LevelError

WORD = 4  # bytes of a residue


@dataclass(frozen=True, eq=False)
class TransformPlan:
    """A linear transform as baby steps and giant steps; see `compiler.bsgs`.

    output_i = Σ_c Σ_k rotate(Σ_{b,j} vector ⊙ rotate(input_j, babies[b]), chains[c][k])

    and then output ← output + rotate(output, fold) for each of the folds, all before one mod-down.
    Each chain is summed by Horner's rule, so the rotation keys needed are the babies, the differences within a
    chain, the heads chains[c][0] that are not zero, and the folds.
    index: (E, 5) int32: output, chain, position in the chain, baby, input of each vector.
    vectors: (E, period), already turned for their giant step.
    plaintext_scales: one for each input. output_scale: before the rescale that follows.
    special_count: how many special primes the keys of its babies have at most, for which its vectors are encoded; 0 for
        all that there are.
    nested: the chains are summed by Horner's rule, too: differences of neighbouring heads take the place of heads.
    walks: (step, part, …, part): a giant step or fold that has no key of its own is walked in parts that have.
    """

    level: int
    n_inputs: int
    n_outputs: int
    babies: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    index: NDArray[np.int32]
    vectors: Floats
    plaintext_scales: tuple[float, ...]
    output_scale: float
    folds: tuple[int, ...] = ()
    special_count: int = field(default=0, metadata=LATER)
    nested: bool = field(default=False, metadata=LATER)
    walks: tuple[tuple[int, ...], ...] = field(default=(), metadata=LATER)

    @property
    def period(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def giant_steps(self) -> list[int]:
        """One entry for every rotation of a partial sum, for one output; the folds come last."""
        steps, before = [], 0
        for chain in self.chains:
            steps += [after - before for before, after in zip(chain, chain[1:], strict=False)]
            steps += [chain[0] - before] if chain[0] != before else []
            before = chain[0] if self.nested else 0
        return [part for step in (*steps, *self.folds) for part in self.walk(step)]

    def walk(self, step: int) -> tuple[int, ...]:
        """The steps with keys that make up a giant step or fold."""
        return next((tuple(parts) for target, *parts in self.walks if target == step), (step,))

    @property
    def folding(self) -> int:
        """How many of the giant steps fold."""
        return sum(len(self.walk(fold)) for fold in self.folds)

    def check(self, layer: str, slots: int) -> None:
        """Raise LayoutError unless its parts fit each other and the slots."""
        if not self.chains or not all(self.chains) or not self.babies or len(self.plaintext_scales) != self.n_inputs:
            raise LayoutError(f"{layer}: its plan lacks a chain, a baby step or an input's scale")
        if self.vectors.ndim != 2 or not np.isfinite(self.vectors).all():
            raise LayoutError(f"{layer}: its vectors are not all finite")
        check_vector(layer, np.zeros(self.period), slots)
        longest = max(map(len, self.chains))
        shape = (self.n_outputs, len(self.chains), longest, len(self.babies), self.n_inputs)
        if self.index.shape != (len(self.vectors), 5) or (self.index < 0).any() or (self.index >= shape).any():
            raise LayoutError(f"{layer}: the plan's index does not fit its steps {shape}")
        if any(position >= len(self.chains[chain]) for _, chain, position, _, _ in self.index.tolist()):
            raise LayoutError(f"{layer}: the plan's index points behind the end of a chain")
        for target, *parts in self.walks:
            if len(parts) < 1 or (sum(parts) - target) % slots or any(part % slots == 0 for part in parts):
                raise LayoutError(f"{layer}: a walk of its plan does not lead where it should")
        if self.special_count < 0:
            raise LayoutError(f"{layer}: its plan has {self.special_count} special primes")


@dataclass(frozen=True, eq=False)
class LinearTransform(Operation):
    """Its steps are priced apart:

    decomposition  one for each input        baby      a hoisted key switch of an input
    giant          a turn of a partial sum   diagonal  a product with an encoded vector
    closing        the final mod-down of an output
    """

    inputs: tuple[int, ...]
    plan: TransformPlan

    units: ClassVar[tuple[str, ...]] = ("decomposition", "baby", "giant", "diagonal", "closing")

    @property
    def operands(self) -> tuple[int, ...]:
        return self.inputs

    @property
    def rotations(self) -> tuple[int, ...]:
        return (*self.plan.babies, *self.plan.giant_steps)

    def check_content(self, slots: int) -> None:
        plan = self.plan
        if plan.n_inputs != len(self.inputs) or plan.n_outputs != len(self.outputs):
            raise LayoutError(
                f"{self.layer}: its plan has {plan.n_inputs} inputs and {plan.n_outputs} outputs, not its own"
            )
        plan.check(self.layer, slots)
        if plan.level != self.level:
            raise LevelError(f"{self.layer}: its plan is for level {plan.level}, the operation at {self.level}")

    def scales(self, read: list[float], parameters: Parameters) -> list[float]:
        products = [a * b for a, b in zip(read, self.plan.plaintext_scales, strict=True)]
        return [*products, self.plan.output_scale]

    def work(self) -> Counter[str]:
        plan = self.plan
        return Counter(
            decomposition=plan.n_inputs if any(plan.babies) else 0,
            baby=plan.n_inputs * sum(1 for step in plan.babies if step),
            giant=plan.n_outputs * len(plan.giant_steps),
            diagonal=len(plan.vectors),
            closing=plan.n_outputs,
        )

    def plaintext_words(self, parameters: Parameters) -> int:
        return len(self.plan.vectors) * parameters.residues(self.plan.period) * self._limbs(parameters)

    def working_bytes(self, parameters: Parameters, threads: int) -> int:
        """The decomposed inputs and all inner sums, both polynomials of each, and for each thread one limb of every
        turned input and of a vector that is encoded for it; or the inner sums and the turns of as many chains. See
        native/apply.go.
        """
        plan, limbs, level = self.plan, self._limbs(parameters), self.plan.level + 1
        special = limbs - level
        digits = -(-level // special) if special else 0
        turned = plan.n_inputs if any(plan.babies) else 0
        sums = 2 * limbs * len(np.unique(plan.index[:, :3], axis=0))
        decomposed = turned * (level + digits)
        lanes = min(threads, limbs) * (3 * len(plan.babies) * plan.n_inputs + turned * digits + plan.n_inputs)
        turns = 2 * (level + limbs) * min(threads, len(plan.chains) * plan.n_outputs)
        return WORD * parameters.ring_degree * (sums + max(decomposed + lanes, turns))

    def prepare(self, evaluator: Evaluator[Any, Any, Any]) -> Any:
        return evaluator.transform(self.plan)

    def apply(self, evaluator: Evaluator[Value, Any, Any], values: Mapping[int, Value], prepared: Any) -> list[Value]:
        return evaluator.linear_transform([values[value] for value in self.inputs], prepared)

    def without_vectors(self) -> Self:
        none = np.broadcast_to(np.float64(np.nan), self.plan.vectors.shape)
        return replace(self, plan=replace(self.plan, vectors=none))

    def _limbs(self, parameters: Parameters) -> int:
        """Of a vector: with special primes if some input is turned."""
        if not any(step % parameters.slots for step in self.plan.babies):
            return self.level + 1
        return self.level + 1 + (self.plan.special_count or len(parameters.special_moduli))
