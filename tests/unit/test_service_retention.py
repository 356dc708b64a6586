"""Sweeping goes on, whatever happens to one sweep."""

import asyncio
from types import SimpleNamespace

import pytest

from heclstm.service import retention


def test_sweeping_goes_on_after_a_mistake(monkeypatch):
    """It ended in silence, and nothing expired any more until the server's next start."""
    errors = [ConnectionError("the store is away"), RuntimeError("a mistake"), asyncio.CancelledError()]

    async def sweep(app):
        raise errors.pop(0)

    monkeypatch.setattr(retention, "sweep", sweep)
    app = SimpleNamespace(config=SimpleNamespace(retention=SimpleNamespace(sweep_seconds=0.0)))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(retention.keep_sweeping(app))
    assert errors == []
