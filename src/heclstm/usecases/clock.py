"""How long the steps of a use case took."""

from __future__ import annotations

import time


class Clock:
    """Seconds between laps, by name where they have one."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str = "") -> float:
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        if name:
            self.laps[name] = spent
        return spent
