"""Fuzz what reads bytes of strangers, and print what came of it.

    PYTHONPATH=src:tests python -m hostile.fuzz.run [TARGET …] [--mutations N] [--minutes M] [--seed S] [--guided T]

--minutes: at least so long, shared by the targets alike.

--guided: for T seconds, by coverage, with atheris (the extra `fuzz`), which instruments what is imported after it.
--kept: the folder whose TARGET/ holds what reached new code, for a later run to start from.
A fault is printed with the bytes that caused it, in hex, which belong into found/TARGET/ once it is mended; the exit
code is then 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hostile.fuzz.targets import Target

SLOW_SECONDS = 5.0  # for inputs of a few thousand bytes: hangs, or nearly
REASONS_MAX = 256  # that a guided search tells apart


@dataclass
class Outcome:
    """Of one target. seconds: of the processor. longest: in seconds. reasons: what refusals say, without numbers."""

    target: str
    count: int = 0
    refused: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    memory: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def row(self) -> str:
        return (
            f"| {self.target} | {self.count:,} | {self.refused:,} | {len(self.reasons)} | {self.rate:,.0f} | "
            f"{1000 * self.longest:.0f} | {self.memory / 1e6:.0f} |"
        )


HEAD = "| target | inputs | refused | reasons | a second | longest, ms | memory, MB |\n|---|---|---|---|---|---|---|"


def fuzz(name: str, mutations: int, seed: int = 0, seconds: float = 0.0) -> Outcome:
    """So many mutations, and further ones until so many seconds are over.

    Raises AssertionError for the first input that is neither read nor refused by an error of ours.
    """
    from hostile.fuzz.targets import TARGETS

    target, rng, outcome = TARGETS[name], Random(f"{name} {seed}"), Outcome(name)
    for content in target.seeds:
        assert target.refusal(content) is None, f"{name}: a seed is refused: {target.refusal(content)}"
    start, end = time.process_time(), time.monotonic() + seconds  # the machine may be busy with other things
    while outcome.count < mutations or time.monotonic() < end:
        reason, took = tried(target, target.input(rng))
        outcome.longest = max(outcome.longest, took)
        outcome.count += 1
        if reason is not None:
            outcome.refused += 1
            outcome.reasons[kind(reason)] += 1
    outcome.seconds = time.process_time() - start
    outcome.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return outcome


def tried(target: Target, content: bytes) -> tuple[str | None, float]:
    """Why it is refused, if it is, and the seconds that took. AssertionError with the bytes if it is a fault."""
    began = time.process_time()  # a machine that is busy, or a process that is halted, is no fault of an input
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reason = target.refusal(content)
    except BaseException as error:
        raise AssertionError(f"{target.name}: {type(error).__name__}: {error}\ninput: {content.hex()}") from error
    took = time.process_time() - began
    assert took < SLOW_SECONDS, f"{target.name}: took {took:.1f} s\ninput: {content.hex()}"
    assert reason is None or "EngineError" not in reason, f"{target.name}: {reason}\ninput: {content.hex()}"
    return reason, took


def kind(reason: str) -> str:
    """A reason without what differs between two inputs that are refused for it."""
    words = [word for word in reason.split() if "/" not in word]
    return "".join(letter for letter in " ".join(words) if not letter.isdigit())[:120]


def guided(name: str, seconds: int, kept: Path) -> None:
    """Search by coverage until time is over; atheris ends the process."""
    try:
        import atheris
    except ImportError:
        sys.exit("guided fuzzing needs atheris: pip install 'heclstm[fuzz]' (Linux, Python 3.11 to 3.13)")
    with atheris.instrument_imports(include=["heclstm", "pydicom"]):
        from hostile.fuzz.targets import CORPUS, FOUND, TARGETS
    target = TARGETS[name]

    def mutate(content: bytes, size_max: int, seed: int) -> bytes:
        """Half of libFuzzer's own, which knows what is compared; half of those that know the format."""
        rng = Random(seed)
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(content, size_max))
        return target.changed(content, rng)[:size_max]

    def mark() -> None:
        pass

    # The engine is not instrumented: that it refuses for another reason counts as new code, too.
    marks, reasons = [atheris.instrument_func(FunctionType(mark.__code__, {})) for _ in range(REASONS_MAX)], {}

    def look(content: bytes) -> None:
        reason, _ = tried(target, content)
        if reason is not None:
            reasons.setdefault(kind(reason), marks[len(reasons) % REASONS_MAX])()

    # Seconds of the clock are no measure where the process is halted: `tried` takes those of the processor.
    limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=1200", "-rss_limit_mb=2048"]
    folder = kept / name
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [str(each) for each in (CORPUS / name, FOUND / name) if each.is_dir()]  # which stay as they are
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={kept}/{name}-", str(folder), *seeds],
        look,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--kept", type=Path, default=Path("build/fuzz"), metavar="FOLDER")
    options = parser.parse_args()
    if options.guided:
        (name,) = options.targets
        guided(name, options.guided, options.kept)
        return
    from hostile.fuzz.targets import TARGETS

    print(f"{HEAD}", flush=True)
    failed, outcomes, names = False, [], options.targets or list(TARGETS)
    seconds = 60 * options.minutes / len(names)
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # so that memory is that of one target
            try:
                outcomes.append(pool.apply(fuzz, (name, options.mutations, options.seed, seconds)))
                print(outcomes[-1].row(), flush=True)
            except AssertionError as error:
                failed = True
                print(f"FAULT {error}", flush=True)
    count, seconds = (sum(getattr(each, name) for each in outcomes) for name in ("count", "seconds"))
    print(f"{count:,} inputs in {seconds:.0f} s of a processor")
    sys.exit(failed)


if __name__ == "__main__":
    main()
