"""How far something is that takes a while: told by the thread that does it, read by the page that shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from heclstm.errors import Cancelled
from heclstm.templates.language import gettext, ngettext, said
from heclstm.usecases.events import Update


@dataclass
class Progress:
    """stages: their titles in order, marked for translation. share: of the stage that is under way.

    It is also what use cases tell their events to: a stage that is not known yet is added.
    """

    stages: list[str]
    at: int = 0
    share: float = 0.0
    seconds_left: float | None = None
    position: int | None = None
    notes: list[str] = field(default_factory=list)
    state: str = "running"
    problem: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)
    told: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, stages: Sequence[str]) -> Progress:
        return cls(list(stages))

    def reach(
        self, stage: str, share: float = 0.0, *, position: int | None = None, seconds_left: float | None = None
    ) -> None:
        """Raises Cancelled once somebody asked for the end."""
        if self.cancelled.is_set():
            raise Cancelled("the work was cancelled")
        if stage not in self.stages:
            self.stages.append(stage)
        self.at, self.share = self.stages.index(stage), share
        self.position, self.seconds_left, self.told = position, seconds_left, time.monotonic()

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        self.reach(title)
        yield lambda done, total: self.reach(title, done / total if total else 0.0)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, problem: str = "") -> None:
        self.problem, self.state = problem, "failed" if problem else "done"

    def to_json(self) -> dict[str, Any]:
        """For the script of the page, in the reader's language."""
        states = [
            "done" if number < self.at else "now" if number == self.at else "" for number in range(len(self.stages))
        ]
        stages = [{"title": gettext(title), "state": state} for title, state in zip(self.stages, states, strict=True)]
        return {
            "state": self.state,
            "stages": stages,
            "share": round(min(1.0, (self.at + self.share) / len(self.stages)), 3),
            "left": self.left,
        }

    @property
    def left(self) -> str:
        """How long it will take, in words; empty where nobody knows."""
        if self.position:
            return ngettext("{count} query is before yours", "{count} queries are before yours", self.position).format(
                count=self.position
            )
        if self.seconds_left is None:
            return ""
        seconds = max(1, round(self.seconds_left - (time.monotonic() - self.told)))
        if seconds < 90:
            return ngettext("about {count} second left", "about {count} seconds left", seconds).format(count=seconds)
        return said("about {minutes} minutes left", minutes=round(seconds / 60))
