"""How a verb ends when something stands in its way: an exit code and one line, also as JSON.

2    what heclstm refuses, or the system: files, memory, threads, a pipe whose reader went away
3    a sequence cannot be assessed: no decision
130  Ctrl+C
129, 143  SIGHUP (a terminal that was closed), SIGTERM
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.cli.plain import emit, fail
from heclstm.cli.start import silent, stopped
from heclstm.errors import HeclstmError, NotAssessableError
from heclstm.extras import missing

FAILED, UNDECIDED = 2, 3  # the latter: all went well, but there is no decision, positive or negative
INTERRUPTED = 128 + signal.SIGINT
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has one

AGAIN = 0.01  # seconds until a signal that was dropped comes once more

# verb → how to go on with what an interruption left on purpose; others leave nothing.
RESUME = {
    "connect": "the same command goes on where this one ended",
    "diagnose": "what was sent goes on at the server; the same with --resume (and -o) goes on",
    "jobs": "what is under way stays so; `heclstm jobs --collect` goes on",
    "rotate-keys": "the keys in use stay; the same command begins anew",
    "train": "its checkpoints stay; add --resume to go on after the last whole epoch",
    "run": "what is whole stays; with --each, add --resume to go on after it",
}


class Ended(SystemExit):
    """A signal that asks this process to end; its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@dataclass(frozen=True)
class Ending:
    """kind: the class of the error, for programs."""

    kind: str
    text: str
    code: int = FAILED

    def tell(self, *, as_json: bool) -> None:
        with suppress(OSError):  # nobody listens any more
            if as_json:
                emit({"error": {"kind": self.kind, "message": self.text, "exit_code": self.code}})
                sys.stdout.flush()
        with suppress(OSError):
            fail(self.text)


def ending_of(error: BaseException, output: Path | None, verb: str) -> Ending | None:
    """None for what nobody expects: its traceback is worth more than a line."""
    kind, stays = type(error).__name__, RESUME.get(verb, "nothing half made stays behind")
    match error:
        case NotAssessableError():
            return Ending(kind, str(error), UNDECIDED)
        case HeclstmError():
            return Ending(kind, str(error))
        case BrokenPipeError():
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())  # else Python complains again when it flushes at its end
            return Ending(kind, "output: whoever read it went away; files that were written stay")
        case OSError():
            return Ending(kind, describe(error, output))
        case MemoryError():
            return Ending(kind, f"memory: the system gives this process no more; allow it more, or take less; {stays}")
        case RuntimeError() if "can't allocate memory" in str(error):  # PyTorch, which knows no MemoryError
            return ending_of(MemoryError(), output, verb)
        case RuntimeError() if "start new thread" in str(error):
            return Ending(kind, f"threads: the system gives this process no more of them (see ulimit -u); {stays}")
        case ModuleNotFoundError() if (told := missing(error, verb)) is not None:
            return Ending(type(told).__name__, str(told))
        case ImportError() if "object" in str(error) or "open files" in str(error):  # of the loader of libraries
            return Ending(kind, f"{error.name or 'a library'}: cannot be loaded ({error})")
        case KeyboardInterrupt():
            return Ending(kind, f"stopped by Ctrl+C; {stays}", INTERRUPTED)
        case Ended(number=number):
            return Ending(signal.Signals(number).name, f"ended by {signal.Signals(number).name}; {stays}", 128 + number)
    return None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl+C, SIGTERM and SIGHUP unwind the stack, so that temporary files (of secret keys, too) are removed on the
    way out.

    One that is ignored already, as under nohup, stays so. Python drops what a handler raises inside of some callbacks
    of its own (while it imports, above all): such a signal is sent again a moment later.
    """
    at_once = signal.getsignal(signal.SIGINT) is stopped
    taken = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]

    def end(number: int, frame: object) -> None:
        for other in taken:
            signal.signal(other, signal.SIG_IGN)  # a second one must not stop the cleaning
        raise Ended(number)

    def dropped(told: Any) -> None:
        number = getattr(told.exc_value, "number", signal.SIGINT)
        if not isinstance(told.exc_value, KeyboardInterrupt | Ended):
            former(told)
            return
        if number in taken:
            signal.signal(number, end)
        threading.Timer(AGAIN, os.kill, (os.getpid(), number)).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former, after = sys.unraisablehook, stopped
    try:
        sys.unraisablehook = dropped
        for number in taken:
            signal.signal(number, end)
        if at_once:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    except (KeyboardInterrupt, Ended):
        after = silent
        raise
    finally:
        sys.unraisablehook = former
        if at_once:
            signal.signal(signal.SIGINT, after)
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def describe(error: OSError, output: Path | None) -> str:
    """One line with the path that the user knows: not that of a temporary file on the way to it."""
    named = error.filename2 or error.filename
    path = Path(os.fsdecode(named)) if isinstance(named, str | bytes | os.PathLike) else None
    reason = error.strerror or str(error) or type(error).__name__
    if output is None:
        return f"{path or 'output'}: {reason}"
    if path is None or _is_temporary(path, output):
        return f"{output}: {reason}; choose another output"
    place, wanted = path.absolute(), output.absolute()
    if place == wanted or wanted in place.parents or place in wanted.parents:
        return f"{path}: {reason}; choose another output"
    return f"{path}: {reason}"


def _is_temporary(path: Path, output: Path) -> bool:
    """Ours, beside or inside the output: such names start with a dot or end with .part."""
    try:
        parts = path.absolute().relative_to(output.absolute().parent).parts
    except ValueError:
        return False
    return path != output and any(part.startswith(".") or part.endswith(".part") for part in parts)
