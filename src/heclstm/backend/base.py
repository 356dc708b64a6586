"""What a backend is.

A `Backend` makes a circuit ready; what it gives back, a `Prepared`, serves any number of tenants, each with keys of
its own, from several threads at once. Ciphertexts come in and go out as bytes.

`Evaluator` is the smaller contract beneath: one method for each operation of a circuit, for backends that are content
to be interpreted (`backend.execute`). A backend that compiles or batches whole circuits needs none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import Operation
from heclstm.errors import FileFormatError

OnProgress = Callable[[int, int], None]  # (done, in all), of one unit throughout
Cancel = threading.Event | Callable[[], bool]  # set, or returns true: stop
Observer = Callable[[Operation, list[Any]], None]  # sees the results of every operation
KeySource = Path | Iterable[tuple[str, bytes]]  # a file that `Keys.save` wrote, or blobs by `key_name`


class Backend(Protocol):
    def prepare(self, circuit: Circuit, on_progress: OnProgress | None = None) -> Prepared[Any, Any]:
        """Encode what the circuit holds in clear, once."""
        ...


V = TypeVar("V")
K = TypeVar("K")


class Prepared(Protocol[V, K]):
    """A circuit that waits for ciphertexts. Values are freed with their last reference, all else by closing, which
    ends evaluations that still run (HandleError).
    """

    @property
    def circuit(self) -> Circuit: ...

    @property
    def bytes_in_memory(self) -> int:
        """Of what was encoded."""
        ...

    def load_keys(self, source: KeySource | None = None, on_progress: OnProgress | None = None) -> K:
        """One tenant's `Keys`. Progress counts bytes.

        Raises MissingKeyError if the circuit needs one that is not there, FileFormatError or DigestError if one cannot
        be read. Backends without encryption take no source.
        """
        ...

    def load(self, blobs: Sequence[bytes]) -> list[V]:
        """The inputs of one sequence. Raises LayoutError, FileFormatError, LevelError, DigestError."""
        ...

    def evaluate(
        self,
        inputs: Sequence[V],
        keys: K | None = None,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        observe: Observer | None = None,
    ) -> V:
        """The result. Progress counts work, and `cancel` is looked at between operations: then Cancelled is raised."""
        ...

    def store(self, value: V) -> bytes: ...

    def close(self) -> None: ...


class Keys(Protocol):
    """One tenant's evaluation keys. Closing them during an evaluation lets it finish."""

    @property
    def bytes_in_memory(self) -> int: ...

    @property
    def note(self) -> bytes:
        """Of the file that they were opened from: what `save` was given."""
        ...

    def save(self, path: Path, note: bytes = b"") -> None:
        """Write them in the form that this backend opens fastest."""
        ...

    def rest(self) -> None:
        """Not used for a while: let go of memory that the next use finds again."""
        ...

    def close(self) -> None: ...


def key_name(step: int) -> str:
    """How an evaluation key is called: by its rotation step, 0 for relinearization."""
    return f"rotation {step}" if step else "relinearization"


def key_step(name: str) -> int:
    """The step of a `key_name`. Raises FileFormatError."""
    step = name.removeprefix("rotation ")
    if name == key_name(0):
        return 0
    if not step.isdecimal() or len(step) > 9 or name != key_name(int(step)):
        raise FileFormatError(
            "evaluation keys: a key has no name of its own, expected 'relinearization' or 'rotation 5'"
        )
    return int(step)
