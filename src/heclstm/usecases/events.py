"""What a use case tells while it works: its stages, how far each is, and remarks. Who listens shows them.

Whatever a listener raises passes through and ends the use case, which leaves nothing half made behind: that is how one
is cancelled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from heclstm.errors import Cancelled

Update = Callable[[float, float], None]  # (done, in all), of one unit throughout a stage
Cancel = threading.Event | Callable[[], bool]  # set, or returns true: stop


class Events(Protocol):
    def stage(self, title: str) -> AbstractContextManager[Update]:
        """A part of the work that takes a while. It ends with the block, whatever ends that."""
        ...

    def note(self, text: str) -> None:
        """A line for whoever asked for the work."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        yield lambda done, total: None

    def note(self, text: str) -> None:
        pass


SILENT = Silent()


@dataclass(frozen=True)
class Event:
    """text: the title of the stage, or the note. done, total: of progress."""

    kind: Literal["started", "progress", "finished", "note"]
    text: str
    done: float = 0
    total: float = 0


@dataclass
class Recorded:
    """Keeps all of them, in order."""

    events: list[Event] = field(default_factory=list)

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        self.events.append(Event("started", title))
        yield lambda done, total: self.events.append(Event("progress", title, done, total))
        self.events.append(Event("finished", title))

    def note(self, text: str) -> None:
        self.events.append(Event("note", text))

    @property
    def titles(self) -> list[str]:
        """Of the stages that came to their end."""
        return [event.text for event in self.events if event.kind == "finished"]

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if event.kind == "note"]


@dataclass
class Timed:
    """Hands everything on, and keeps how many seconds each stage took, by its title."""

    events: Events = SILENT
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        begin = time.perf_counter()
        with self.events.stage(title) as update:
            yield update
        self.seconds[title] = time.perf_counter() - begin

    def note(self, text: str) -> None:
        self.events.note(text)


@dataclass(frozen=True)
class Until:
    """Hands everything on, and raises Cancelled at the next event once `cancel` says so."""

    cancel: Cancel
    events: Events = SILENT

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        self._stop_if(title)
        with self.events.stage(title) as update:

            def told(done: float, total: float) -> None:
                self._stop_if(title)
                update(done, total)

            yield told

    def note(self, text: str) -> None:
        self._stop_if("work")
        self.events.note(text)

    def _stop_if(self, title: str) -> None:
        if self.cancel.is_set() if isinstance(self.cancel, threading.Event) else self.cancel():
            raise Cancelled(f"{title}: was cancelled by whoever asked for it")
