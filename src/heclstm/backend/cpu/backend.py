"""The CPU backend: circuits on the native engine, for any number of tenants at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from heclstm.backend.base import Cancel, KeySource, Observer, OnProgress, key_name, key_step
from heclstm.backend.cpu.context import Arithmetic, Context
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.preparing import preparing
from heclstm.backend.cpu.stored import Stored
from heclstm.backend.cpu.values import Ciphertext
from heclstm.backend.execute import Executor
from heclstm.backend.machine import cores
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.cost import estimate
from heclstm.circuit.memory import MEMORY
from heclstm.circuit.sizes import evaluation_key_bytes
from heclstm.errors import LayoutError, MissingKeyError


class CpuBackend:
    """threads: cores that one evaluation uses, all by default. arithmetic: see `cpu.context`.

    memory: bytes of a process with one tenant's keys. As many diagonals as fit are held with every limb, the others as
    coefficients, which are transformed at each use: a twentieth of their memory, and slower; with 0 none is held whole.
    cache: a folder where what is prepared is kept for other processes, see `cpu.stored`.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        arithmetic: Arithmetic = "auto",
        memory: float = MEMORY,
        cache: Path | None = None,
    ) -> None:
        self.threads, self.arithmetic, self.memory = threads, arithmetic, memory
        self.cache = Stored(cache) if cache else None

    def prepare(self, circuit: Circuit, on_progress: OnProgress | None = None) -> CpuProgram:
        whole = estimate(circuit, memory=self.memory, threads=self.threads or cores()).held_whole
        evaluator = preparing(circuit, whole, self.cache, self.threads, self.arithmetic)
        program = CpuProgram(circuit, evaluator.context, self.threads or cores(), evaluator, on_progress)
        program.mapped_bytes = evaluator.keep()
        program.context.rest()  # of preparing: what is to come must fit beside the program alone
        return program


class CpuProgram:
    """`Prepared` on a context of its own. mapped_bytes: of its memory, what lies in a file that processes share."""

    mapped_bytes = 0

    def __init__(
        self,
        circuit: Circuit,
        context: Context,
        threads: int,
        evaluator: CpuEvaluator,
        on_progress: OnProgress | None = None,
    ) -> None:
        """evaluator: what prepares it."""
        self.context, self._threads = context, threads
        self._executor = Executor(circuit, evaluator, on_progress)
        self.circuit = self._executor.forget_vectors()
        tables = context.prepare_rotations(circuit.needed_keys.rotations)
        self.bytes_in_memory = tables + sum(item.bytes_in_memory for item in self._executor.prepared if item)

    def load_keys(self, source: KeySource | None = None, on_progress: OnProgress | None = None) -> KeySet:
        """source: a file that `KeySet.save` wrote, which is opened at once, or seeded keys, which are expanded."""
        keys = KeySet.open(self.context, source) if isinstance(source, Path) else KeySet(self.context)
        try:
            if not isinstance(source, Path):
                self._expand(keys, source or (), on_progress)
                self.context.rest()
            self._require_all(keys)
        except BaseException:
            keys.close()
            raise
        return keys

    def _expand(self, keys: KeySet, blobs: Iterable[tuple[str, bytes]], on_progress: OnProgress | None) -> None:
        """Expanding seeds is most of the work and runs outside of the GIL, a few keys at a time."""
        parameters, needed = self.circuit.parameters, self.circuit.needed_keys
        total, done = sum(evaluation_key_bytes(parameters, level) for level in needed.levels.values()), 0

        def load(name: str, blob: bytes) -> int:
            keys.load(blob, key_step(name))
            return len(blob)

        with ThreadPoolExecutor(self._threads) as pool:
            pending: deque[Future[int]] = deque()
            for name, blob in blobs:
                pending.append(pool.submit(load, name, blob))
                if len(pending) > 2 * self._threads:
                    done += pending.popleft().result()
                    if on_progress:
                        on_progress(min(done, total), total)
            for job in pending:
                job.result()
        if on_progress:
            on_progress(total, total)

    def _require_all(self, keys: KeySet) -> None:
        loaded, special_at = keys.loaded, self.circuit.parameters.special_at
        found = {0: loaded.relinearization_level, **loaded.rotations}
        for step, level in self.circuit.needed_keys.levels.items():
            reached = found.get(step)
            if reached is None or reached < level or special_at(reached) != special_at(level):
                raise MissingKeyError(
                    f"evaluation keys: {key_name(step)} is needed at level {level}, "
                    f"got {'none' if reached is None else f'one for level {reached}'}; get the file again"
                )

    def load(self, blobs: Sequence[bytes]) -> list[Ciphertext]:
        expected = self.circuit.input_layout.ciphertexts
        if len(blobs) != expected:
            raise LayoutError(f"load: got {len(blobs)} ciphertexts, expected {expected}")
        return [self.context.load_ciphertext(blob, level=self.circuit.input_level) for blob in blobs]

    def evaluate(
        self,
        inputs: Sequence[Ciphertext],
        keys: KeySet | None = None,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        observe: Observer | None = None,
    ) -> Ciphertext:
        own = keys.share() if keys else None  # so that a tenant who closes his keys meanwhile takes nothing away
        try:
            evaluator = CpuEvaluator(self.context, own)
            return self._executor.run(inputs, observe, evaluator=evaluator, on_progress=on_progress, cancel=cancel)
        finally:
            if own:
                own.close()

    def store(self, value: Ciphertext) -> bytes:
        return value.serialize()

    def close(self) -> None:
        for item in self._executor.prepared:
            if item is not None:
                item.close()
        self.context.close()
