"""Fuzz what reads bytes of strangers, and print what came of it.

    PYTHONPATH=src:tests python -m hostile.fuzz.run [TARGET …] [--mutations N] [--minutes M] [--seed S] [--guided T]

--minutes: at least so long, shared by the targets alike.

--guided: for T seconds, by coverage, with atheris (pip install atheris), which instruments what is imported after it.
A fault is printed with the bytes that caused it, in hex, which belong into corpus/TARGET/ once it is mended; the exit
code is then 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from random import Random

SLOW_SECONDS = 5.0  # for inputs of a few thousand bytes: hangs, or nearly


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
        content = target.input(rng)
        began = time.process_time()  # a machine that is busy, or a process that is halted, is no fault of an input
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                reason = target.refusal(content)
        except BaseException as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}\ninput: {content.hex()}") from error
        took = time.process_time() - began
        assert took < SLOW_SECONDS, f"{name}: took {took:.1f} s\ninput: {content.hex()}"
        outcome.longest = max(outcome.longest, took)
        outcome.count += 1
        if reason is not None:
            assert "EngineError" not in reason, f"{name}: {reason}\ninput: {content.hex()}"
            outcome.refused += 1
            outcome.reasons[_kind(reason)] += 1
    outcome.seconds = time.process_time() - start
    outcome.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return outcome


def _kind(reason: str) -> str:
    words = [word for word in reason.split() if "/" not in word]
    return "".join(letter for letter in " ".join(words) if not letter.isdigit())[:120]


def guided(name: str, seconds: int) -> None:
    """Search by coverage until time is over; atheris ends the process."""
    try:
        import atheris
    except ImportError:
        sys.exit("guided fuzzing needs atheris: pip install atheris (Linux)")
    with atheris.instrument_imports(include=["heclstm", "pydicom"]):
        from hostile.fuzz.targets import CORPUS, TARGETS
    target = TARGETS[name]

    def look(content: bytes) -> None:
        target.refusal(target.fit(content))

    limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048"]
    found = tempfile.mkdtemp(prefix=f"fuzz-{name}-")  # what reaches new code; the seeds stay as they are
    atheris.Setup([sys.argv[0], *limits, found, str(CORPUS / name)], look)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", type=int, default=0, metavar="SECONDS")
    options = parser.parse_args()
    if options.guided:
        (name,) = options.targets
        guided(name, options.guided)
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
