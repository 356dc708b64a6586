"""Who waits for news of a job: long polls and event streams."""

from __future__ import annotations

import asyncio
from collections import defaultdict

POLL_SECONDS = 1.0  # news of jobs that another server runs is looked for this often


class Hub:
    """Lives in the event loop; `changed` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Event, bool]] = defaultdict(dict)  # and whether progress is news
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def changed(self, job: str, *, progress: bool = False) -> None:
        """progress: nothing has changed but how far it is."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._notify, job, progress)

    def close(self) -> None:
        """Let everybody go, since the server ends."""
        self.closed = True
        for job in list(self._waiting):
            self._notify(job, progress=False)

    async def wait(self, job: str, seconds: float, *, progress: bool = False) -> None:
        """Until there is news of the job, or may be. progress: is news, which comes several times a second."""
        event = asyncio.Event()
        self._waiting[job][event] = progress
        try:
            await asyncio.wait_for(event.wait(), min(seconds, POLL_SECONDS))
        except TimeoutError:
            return
        finally:
            del self._waiting[job][event]
            if not self._waiting[job]:
                del self._waiting[job]

    def _notify(self, job: str, progress: bool) -> None:
        for event, all_of_it in self._waiting.get(job, {}).items():
            if all_of_it or not progress:
                event.set()
