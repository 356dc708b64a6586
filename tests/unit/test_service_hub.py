"""Who is woken by what is new of a job."""

import asyncio

import pytest

from heclstm.service import hub as module
from heclstm.service.hub import Hub


@pytest.mark.parametrize(
    ("waits_for_progress", "progress", "woken"),
    [(False, False, True), (False, True, False), (True, False, True), (True, True, True)],
)
def test_progress_wakes_only_who_waits_for_it(monkeypatch, waits_for_progress, progress, woken):
    """A long poll answers when a query has ended: it asked the database five times a second for nothing."""
    monkeypatch.setattr(module, "POLL_SECONDS", 30.0)

    async def run():
        hub = Hub()
        hub.start()
        waiting = asyncio.create_task(hub.wait("job", 30.0, progress=waits_for_progress))
        await asyncio.sleep(0)
        hub.changed("other")
        hub.changed("job", progress=progress)
        for _ in range(5):
            await asyncio.sleep(0)
        done = waiting.done()
        hub.close()
        await waiting
        assert not hub._waiting
        return done

    assert asyncio.run(run()) is woken
