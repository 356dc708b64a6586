"""/healthz, /readyz, /metrics"""

from __future__ import annotations

import asyncio

from litestar import Response, get

from heclstm.service.http.models import Health
from heclstm.service.http.openapi import EVERYWHERE, GUARDED, described
from heclstm.service.http.requests import Asked, app_of, require_identity
from heclstm.service.metrics import CONTENT_TYPE
from heclstm.service.problems import Problem


@get("/healthz", tags=["health"], **described(*EVERYWHERE), sync_to_thread=False)
def healthz() -> Health:
    """The process lives and answers."""
    return Health("ok")


@get("/readyz", tags=["health"], **described(*EVERYWHERE, "database-unavailable", "draining", "not-ready"))
async def readyz(request: Asked) -> Health:
    """The database answers, a worker is ready, and the server is not being stopped."""
    app = app_of(request)
    if app.draining:
        raise Problem("draining", "the server is being stopped", retry_after_seconds=5)
    await asyncio.to_thread(app.queue.counts)
    if not app.dispatcher.ready:
        raise Problem("not-ready", "no worker is ready yet; jobs are accepted and wait", retry_after_seconds=1)
    return Health("ok")


@get(
    "/metrics",
    tags=["health"],
    guards=[require_identity],
    **described(*GUARDED, scope="metrics"),
    media_type="text/plain",
)
async def metrics(request: Asked) -> Response[bytes]:
    """For Prometheus. Needs a token of the scope `metrics`, unless the configuration opens it."""
    return await _metrics(request)


@get("/metrics", tags=["health"], **described(*EVERYWHERE, "database-unavailable"), media_type="text/plain")
async def open_metrics(request: Asked) -> Response[bytes]:
    """For Prometheus."""
    return await _metrics(request)


async def _metrics(request: Asked) -> Response[bytes]:
    text = await asyncio.to_thread(app_of(request).metrics.text)
    return Response(text, media_type=CONTENT_TYPE)
