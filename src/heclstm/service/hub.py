"""Who waits for news of a job: long polls and event streams."""

from __future__ import annotations

import asyncio
from collections import defaultdict

POLL_SECONDS = 1.0  # news of jobs that another server runs is looked for this often


class Hub:
    """Lives in the event loop; `changed` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def changed(self, job: str) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._notify, job)

    def close(self) -> None:
        """Let everybody go, since the server ends."""
        self.closed = True
        for job in list(self._waiting):
            self._notify(job)

    async def wait(self, job: str, seconds: float) -> None:
        """Until there is news of the job, or may be."""
        event = asyncio.Event()
        self._waiting[job].add(event)
        try:
            await asyncio.wait_for(event.wait(), min(seconds, POLL_SECONDS))
        except TimeoutError:
            return
        finally:
            self._waiting[job].discard(event)
            if not self._waiting[job]:
                del self._waiting[job]

    def _notify(self, job: str) -> None:
        for event in self._waiting.get(job, ()):
            event.set()
