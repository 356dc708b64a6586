"""/operator: a page for whoever runs this server, behind a token of the scope `operator`. It changes nothing."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from importlib.metadata import version
from typing import Any

from litestar import Response, get

from heclstm.service import admission, clock
from heclstm.service.app_state import App
from heclstm.service.database.overview import Overview, TenantRow
from heclstm.service.http.requests import Asked, app_of, require_identity
from heclstm.templates.units import size

POLICY = "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STATES = ("queued", "running", "done", "failed")


@get("/operator", opt={"scope": "operator", "for_browsers": True}, guards=[require_identity], include_in_schema=False)
async def page(request: Asked) -> Response[str]:
    """Queue, workers, tenants and their quotas, programs, failures, memory, the age of keys."""
    nonce = secrets.token_urlsafe(16)
    values = await asyncio.to_thread(_values, app_of(request))
    text = await asyncio.to_thread(_rendered, nonce, values)
    headers = {"content-security-policy": POLICY.format(nonce=nonce), "cache-control": "no-store"}
    return Response(text, media_type="text/html", headers=headers)


def _rendered(nonce: str, values: dict[str, Any]) -> str:
    from heclstm.templates.rendering import renderer  # Jinja2, which nothing else here needs

    return renderer("heclstm.service")("operator.html", title="heclstm: operator", nonce=nonce, **values)


def _values(app: App) -> dict[str, Any]:
    overview, slots = Overview(app.database), app.dispatcher.slots()
    counts, wait = app.queue.counts(), overview.longest_wait()
    queue = [(state, str(counts.get(state, 0))) for state in STATES]
    disk = shutil.disk_usage(app.config.folder)
    return {
        "version": version("heclstm"),
        "now": clock.iso(clock.now()),
        "draining": app.draining,
        "ready": app.dispatcher.ready,
        "queue": [*queue, ("longest wait", _age(wait))],
        "workers": [
            (slot.worker.name, slot.state, slot.program[:12], size(slot.program_bytes), str(len(slot.open)))
            for slot in slots
        ],
        "memory": [
            ("workers, as estimated", size(admission.memory(slots)), size(app.dispatcher.memory_bytes)),
            ("of it, open keys", size(admission.key_bytes(slots)), ""),
            ("disk of the state", size(disk.used), size(disk.total)),
        ],
        "tenants": [_tenant(app, row) for row in overview.tenants()],
        "programs": [
            (
                digest[:12],
                program.card.model.name,
                "retired" if program.retired else "served",
                f"{app.dispatcher.pace[digest]:.2f}" if digest in app.dispatcher.pace else "",
                size(program.stored_key_bytes),
            )
            for digest, program in app.programs.all().items()
        ],
        "failures": [(row.problem, row.program[:12], str(row.count)) for row in overview.failures()],
    }


def _tenant(app: App, row: TenantRow) -> tuple[str, ...]:
    quotas = app.config.quotas_of(row.name)
    numbers = (row.queued, quotas.queued, row.running, row.today, quotas.daily, row.tokens)
    ages = (_age(row.oldest), _age(row.unused))
    return (row.name, str(row.keys), size(row.key_bytes), size(quotas.key_bytes), *ages, *map(str, numbers))


def _age(value: float | None) -> str:
    """In the largest unit that fits."""
    if value is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * length:
            return f"{value / length:.0f} {unit}"
    return f"{value:.0f} s"
